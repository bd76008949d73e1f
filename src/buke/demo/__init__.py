"""Room `demo`: the built-in lessons and the built-in model, so that everything can be seen to work without a hub."""
