"""Names that nobody bears.

Every family name holds a word put together for this city, so that no real person is
meant. Letters are what a Swedish register holds: å ä ö é ü, names from elsewhere,
apostrophes, hyphens, and names of more than one word.
"""

from __future__ import annotations

from idsync.testing.city.dice import Dice

GIVEN = (
    "Åsa Åke Örjan Ängla Märta Göran Håkan Sören Björn Gösta Kerstin Birgitta Ingrid Lovisa Elsa "
    "Saga Tuva Ebba Alva Freja Selma Nils Axel Hugo Viggo Melker Loke Sixten Ragnar Torbjörn "
    "Solveig Siv Maj Gun Rune Stellan Pontus Jesper Malin Frida Sanna Jonna Hedda Tyra Vidar "
    "André René Zoë Chloé José Inés Jürgen Günther Çağla Łucja Žana Đina Sólveig Þóra Ægir Søren "
    "Amira Yusuf Leyla Hodan Abdi Nasrin Farid Parisa Thảo Minh Aino Väinö Päivi Oksana Bogdan "
    "Mirela Darko Eleni Nikos Kwame Adaeze Haruki Mei Anjali Ravi"
).split()

DOUBLED = (
    "Anna-Karin",
    "Per-Åke",
    "Britt-Marie",
    "Lars Göran",
    "Eva Lou",
    "Carl-Jöns",
    "Mary-Zoé",
    "Sven Olof",
)

FIRST_PARTS = (
    "Moln Tistel Glas Kråk Häger Skymnings Koppar Bärnstens Dimm Fjäder Nejlik Snöstjärne Tång "
    "Järv Rönn Slån Ätter Öken Flint Gylden Igel Jolster Krut Lärk Mård Nattviol Odon Pors Tjäder "
    "Ugg Vass Åsk Ängsull Kornblå Trast Smult Vipp Ålgräs Blåmusse Höstack Kardborre Ormbunks "
    "Regnbågs"
).split()

LAST_PARTS = (
    "klint hed tuva spira myr skär kärr brink vret bäck håla kulle lycka mosse ravin rydja röse "
    "sköld stubbe säter tjärn udde ö älv grund holme kajuta lada lyra morän näste skans slätt "
    "stege sund tegel våg åder åsen örn"
).split()

ELSEWHERE = (
    "O'Brien",
    "Müller",
    "Nguyễn",
    "García",
    "Al-Haddad",
    "Kovačević",
    "Wójcik",
    "Yıldız",
    "D'Angelo",
    "Þórsdóttir",
    "Virtanen",
    "Warsame",
    "Okafor",
    "Petrović",
    "Łaski",
    "Lefèvre",
    "Hosseini",
    "Østergård",
)

NOBLE = ("von", "af", "De la")

PLAIN = str.maketrans(
    {
        **dict.fromkeys("åäáàâãảæąAÅÄÆ", "a"),
        **dict.fromkeys("öóòôõøőÖØ", "o"),
        **dict.fromkeys("éèêëễęÉ", "e"),
        **dict.fromkeys("üúùûÜ", "u"),
        **dict.fromkeys("íìîïıİ", "i"),
        **dict.fromkeys("čćçÇ", "c"),
        **dict.fromkeys("łŁ", "l"),
        **dict.fromkeys("žŽźż", "z"),
        **dict.fromkeys("đĐð", "d"),
        **dict.fromkeys("ñń", "n"),
        **dict.fromkeys("ğ", "g"),
        **dict.fromkeys("šş", "s"),
        **dict.fromkeys("ý", "y"),
        "þ": "th",
        "Þ": "th",
        "'": "",
        " ": "",
    }
)


def given_name(dice: Dice) -> str:
    """Return a given name, now and then a double one."""
    return dice.pick(DOUBLED) if dice.chance(0.05) else dice.pick(GIVEN)


def invented(dice: Dice) -> str:
    """Return a family name of two parts that do not go together anywhere else."""
    return dice.pick(FIRST_PARTS) + dice.pick(LAST_PARTS)


def family_name(dice: Dice) -> str:
    """Return a family name: plain, hyphenated, noble or partly from elsewhere."""
    share = dice.random()
    if share < 0.80:
        return invented(dice)
    if share < 0.88:
        return f"{invented(dice)}-{invented(dice)}"
    if share < 0.92:
        return f"{dice.pick(NOBLE)} {invented(dice)}"
    return f"{dice.pick(ELSEWHERE)}-{invented(dice)}"


def plain(name: str) -> str:
    """Return *name* in the letters a to z and hyphens, as addresses are written here."""
    return name.translate(PLAIN).lower()
