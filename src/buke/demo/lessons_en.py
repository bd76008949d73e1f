"""Room `demo`, English sentences of the lessons.

Each kind: its phrasings, its thought, its answer. {a} and {b} are the numbers in the order of ``KINDS``, {r} the
result. The questions vary; thought and answer do not, so that few lessons suffice to learn their form.
"""

from __future__ import annotations

JOINTS = {"so": ", so ", "then": ", ", "check": "Check: {check}."}

WORDING: dict[str, tuple[tuple[str, ...], str, str]] = {
    "weight_dose": (
        (
            "A patient weighs {a} kg. The order is {b} mg/kg, the vial has 10 mg/mL. How many mL do you give?",
            "The order reads {b} mg/kg for a patient of {a} kg. How many mL of 10 mg/mL is that?",
            "Your patient weighs {a} kg and is to get {b} mg/kg. What volume of a 10 mg/mL solution do you need?",
            "Dose: {b} mg/kg. Body weight: {a} kg. Solution: 10 mg/mL. How many mL is a single dose?",
            "How many mL of a 10 mg/mL syrup does a patient of {a} kg receive at {b} mg/kg?",
        ),
        "{a} kg, {b} mg/kg. {steps}. {check}",
        "Give {r} mL.",
    ),
    "tablets": (
        (
            "The order is {a} mg. Each tablet has {b} mg. How many tablets do you give?",
            "A patient needs {a} mg by mouth. You have {b} mg tablets. How many tablets?",
            "The ward stocks tablets of {b} mg. How many make a dose of {a} mg?",
            "Ordered: {a} mg. On hand: {b} mg tablets. How many tablets is one dose?",
            "How many {b} mg tablets are needed for a morning dose of {a} mg?",
        ),
        "{a} mg, {b} mg a tablet. {steps}. {check}",
        "Give {r} tablets.",
    ),
    "draw_volume": (
        (
            "The order is {a} mg. The vial has {b} mg/mL. How many mL do you draw up?",
            "You need {a} mg for injection. The ampoule says {b} mg/mL. What volume do you draw up?",
            "A vial is labelled {b} mg/mL. How many mL contain the {a} mg ordered?",
            "Ordered: {a} mg IV. Supplied: {b} mg/mL. How many mL go into the syringe?",
            "What volume of a {b} mg/mL solution do you inject to give {a} mg?",
        ),
        "{a} mg, {b} mg/mL. {steps}. {check}",
        "Draw up {r} mL.",
    ),
    "pump_rate": (
        (
            "Infuse {a} mL over {b} hours. What rate do you set on the pump?",
            "A bag of {a} mL is to run in over {b} hours. How many mL/h is that?",
            "The patient gets {a} mL of saline in {b} hours. What is the rate in mL/h?",
            "Ordered: {a} mL IV in {b} hours. Which pump rate is right?",
            "You hang {a} mL of fluid to run for {b} hours. How many mL/h do you set?",
        ),
        "{a} mL, {b} hours. {steps}. {check}",
        "Set {r} mL/h.",
    ),
    "daily_total": (
        (
            "A patient takes {a} mg {b} times a day. What is the total for the day?",
            "The order is {a} mg per dose, {b} times daily. How many mg a day is that?",
            "Each dose is {a} mg and is given {b} times a day. What is the daily dose?",
            "The chart says {a} mg, {b} times daily. How many mg does the patient get in a day?",
            "What is the daily dose if {a} mg is given {b} times a day?",
        ),
        "{a} mg, {b} times. {steps}. {check}",
        "The daily dose is {r} mg.",
    ),
    "supply_days": (
        (
            "A bottle holds {a} mL. The patient takes {b} mL a day. How many days does it last?",
            "You dispense {a} mL of syrup. The patient uses {b} mL a day. For how many days is that?",
            "At {b} mL a day, how long does a bottle of {a} mL last?",
            "There are {a} mL left in the bottle and {b} mL a day are used. When is it empty?",
            "How many days does {a} mL of medicine last at {b} mL a day?",
        ),
        "{a} mL, {b} mL a day. {steps}. {check}",
        "It lasts {r} days.",
    ),
    "balance": (
        (
            "Intake was {a} mL and output {b} mL. What is the fluid balance?",
            "The patient received {a} mL and passed {b} mL of urine. What is the balance?",
            "The fluid chart shows {a} mL in and {b} mL out. By how many mL is it positive?",
            "Urine output was {b} mL after {a} mL of intake. What is the fluid balance?",
            "This shift: {a} mL in, {b} mL out. Work out the fluid balance.",
        ),
        "{a} mL in, {b} mL out. {steps}. {check}",
        "The balance is +{r} mL.",
    ),
    "percent": (
        (
            "How many grams of glucose are in {b} mL of a {a}% solution?",
            "A bag holds {b} mL of {a}% glucose. How many grams of glucose is that?",
            "The patient gets {b} mL of a {a}% solution. How many grams of solute is that?",
            "You infuse {a}% glucose, {b} mL in all. How many grams does the patient get?",
            "What mass in grams is dissolved in {b} mL of a {a}% infusion?",
        ),
        "{a} g per 100 mL, {b} mL. {steps}. {check}",
        "It contains {r} g.",
    ),
}
