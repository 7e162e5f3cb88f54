"""Every word on an order, in Swedish and in English."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from idsync.targets.work_order_tasks import Action

Language: TypeAlias = Literal["sv", "en"]
Both: TypeAlias = tuple[str, str]  # Swedish, English

ACTIONS: dict[Action, Both] = {
    "register": ("Lägg upp personen", "Add the person"),
    "add": ("Lägg till dörr", "Add door"),
    "change": ("Ändra datum", "Change dates"),
    "remove": ("Ta bort dörr", "Remove door"),
    "suspend": ("Spärra personen och alla kort", "Block the person and every card"),
    "resume": ("Häv personens spärr", "Lift the person's block"),
    "rename": ("Ändra namnet", "Change the name"),
    "add_card": ("Lägg till kort", "Add card"),
    "block_card": ("Spärra kortet", "Block the card"),
    "return_card": ("Häv kortets spärr", "Lift the card's block"),
}

REASONS: dict[str, Both] = {
    "R1": ("personen finns inte", "no such person"),
    "R2": ("kortet finns inte", "no such card"),
    "R3": ("dörren finns inte", "no such door"),
    "R4": ("våra regler tillåter det inte", "our rules do not allow it"),
    "R5": ("tekniskt fel", "technical fault"),
    "R6": ("annat, kontakta oss", "something else, contact us"),
    "R7": ("ersatt av en senare order", "replaced by a later order"),
}

DONE = ("done", "klart")
COULD_NOT = ("could not", "gick inte")

WORDS: dict[str, Both] = {
    "order": ("Arbetsorder", "Work order"),
    "reminder": ("Påminnelse", "Reminder"),
    "reminds of": ("arbetsorder", "work order"),
    "urgent": ("BRÅDSKANDE: GÖRS FÖRST", "URGENT: DO THIS FIRST"),
    "to": ("Till", "To"),
    "from whom": ("Från", "From"),
    "made": ("Utfärdad", "Issued"),
    "deadline": ("Klart senast", "Done no later than"),
    "was due": ("Skulle ha varit klart", "Was due"),
    "questions": ("Frågor", "Questions"),
    "line": ("Rad", "Line"),
    "what": ("Gör detta", "Do this"),
    "reference": ("Referens", "Reference"),
    "name": ("Namn", "Name"),
    "card": ("Kort", "Card"),
    "door": ("Dörr", "Door"),
    "from": ("Från och med", "First day"),
    "last day": ("Till och med", "Last day"),
    "code": ("Kod", "Code"),
    "did": ("Klart, skäl", "Done, reason"),
    "replaces": (
        "Ersätter order {} rad {}: utför inte den",
        "Replaces order {} line {}: skip that",
    ),
    "empty": ("tomt", "empty"),
    "how": (
        "Utför varje rad. Tomt datum betyder utan gräns. Kryssa i eller skriv skälets kod. "
        "Svara sedan med svarsfilen {}, eller lämna tillbaka det här bladet.",
        "Carry out every line. An empty date means no limit. Tick, or write the reason's code. "
        "Then answer with the file {}, or hand this sheet back.",
    ),
    "reasons": ("Skäl, om något inte gick", "Reasons, if something could not be done"),
    "whole": ("Kod för hela ordern", "Code for the whole order"),
    "who": ("Utfört av (namn)", "Done by (name)"),
    "day": ("Datum", "Date"),
    "signature": ("Underskrift", "Signature"),
    "page": ("sida", "page"),
    "lines": ("rader", "lines"),
    "checksum": ("CSV-filens SHA-256", "SHA-256 of the CSV file"),
}


def say(words: Both, languages: Sequence[Language], between: str = " / ") -> str:
    """Return *words* in each of *languages*."""
    return between.join(words[0 if language == "sv" else 1] for language in languages)
