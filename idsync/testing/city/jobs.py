"""What people do in the city, and the courses that their work asks for.

Six digits stand for a job, in the manner of the AID labels of Swedish municipalities;
these codes were made up.
"""

from __future__ import annotations

from dataclasses import dataclass

from idsync.testing.city.dice import Weighted


@dataclass(frozen=True, slots=True)
class Job:
    """A kind of work: its code ("" for none), its title and its courses."""

    code: str
    title: str
    courses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Course:
    """A course: its name and for how many days it counts, None for ever."""

    id: str
    days: int | None


COURSES = {
    course.id: course
    for course in (
        Course("brandskydd-grund", 1461),
        Course("datasakerhet", None),
        Course("hlr", 1096),
        Course("lakemedel-delegering", 1096),
        Course("hamnskydd-isps", 1826),
        Course("larm-handhavande", 1461),
        Course("truck", 1826),
        Course("heta-arbeten", 1826),
        Course("kemi-labb", 1461),
    )
}

FIRE = ("brandskydd-grund",)
LIFE = ("brandskydd-grund", "hlr")
LEADS = ("brandskydd-grund", "larm-handhavande")
DATA = ("datasakerhet",)

MANAGER = Job("102010", "Enhetschef", LEADS)
OFFICE = Job("151010", "Handläggare", DATA)

ELECTED = Weighted(
    [(Job("", "Ledamot", DATA), 6), (Job("", "Ersättare"), 3), (Job("", "Ordförande", LEADS), 1)]
)

CONTRACTORS = Weighted(
    [
        (Job("", "Lokalvårdare, entreprenad", FIRE), 5),
        (Job("", "Konsult it", DATA), 3),
        (Job("", "Servicetekniker larm", LEADS), 2),
        (Job("", "Väktare", LEADS), 2),
    ]
)

JOBS: dict[str, Weighted[Job]] = {
    "FSK": Weighted(
        [
            (Job("403010", "Förskollärare", LIFE), 38),
            (Job("403011", "Barnskötare", LIFE), 44),
            (Job("602010", "Kock", FIRE), 7),
            (Job("403020", "Specialpedagog", LIFE), 5),
            (Job("101020", "Rektor förskola", LEADS), 6),
        ]
    ),
    "GRS": Weighted(
        [
            (Job("404010", "Grundskollärare åk 1–3", FIRE), 22),
            (Job("404011", "Grundskollärare åk 4–6", FIRE), 22),
            (Job("404012", "Ämneslärare åk 7–9", (*FIRE, "kemi-labb")), 20),
            (Job("405010", "Fritidspedagog", LIFE), 12),
            (Job("405020", "Elevassistent", LIFE), 11),
            (Job("207030", "Skolsköterska", (*LIFE, "lakemedel-delegering")), 3),
            (Job("601010", "Vaktmästare", (*LEADS, "truck")), 5),
            (Job("101021", "Rektor grundskola", LEADS), 5),
        ]
    ),
    "GYM": Weighted(
        [
            (Job("406010", "Gymnasielärare", (*FIRE, "kemi-labb")), 60),
            (Job("406011", "Yrkeslärare", (*FIRE, "heta-arbeten")), 18),
            (Job("406020", "Studievägledare", DATA), 8),
            (Job("601010", "Vaktmästare", (*LEADS, "truck")), 8),
            (Job("101022", "Rektor gymnasium", LEADS), 6),
        ]
    ),
    "VOF": Weighted(
        [
            (Job("207010", "Undersköterska", (*LIFE, "lakemedel-delegering")), 48),
            (Job("207020", "Vårdbiträde", LIFE), 22),
            (Job("206010", "Sjuksköterska", (*LIFE, "lakemedel-delegering")), 9),
            (Job("206020", "Fysioterapeut", LIFE), 4),
            (Job("351030", "Stödassistent", LIFE), 11),
            (MANAGER, 6),
        ]
    ),
    "SOC": Weighted(
        [
            (Job("351010", "Socialsekreterare", DATA), 60),
            (Job("351020", "Behandlingsassistent", LIFE), 20),
            (Job("351021", "Boendestödjare", LIFE), 12),
            (MANAGER, 8),
        ]
    ),
    "SBF": Weighted(
        [
            (Job("303010", "Planarkitekt", DATA), 35),
            (Job("303020", "Bygglovshandläggare", DATA), 40),
            (Job("303030", "Mätningsingenjör", FIRE), 17),
            (MANAGER, 8),
        ]
    ),
    "GTK": Weighted(
        [
            (Job("604010", "Parkarbetare", ("brandskydd-grund", "truck")), 32),
            (Job("604020", "Drifttekniker va", ("brandskydd-grund", "kemi-labb")), 24),
            (Job("604030", "Fordonsmekaniker", ("brandskydd-grund", "heta-arbeten", "truck")), 16),
            (Job("604040", "Fastighetsskötare", LEADS), 18),
            (MANAGER, 10),
        ]
    ),
    "KOF": Weighted(
        [
            (Job("501010", "Bibliotekarie", FIRE), 26),
            (Job("501020", "Musiklärare", FIRE), 16),
            (Job("502010", "Badvärd", LIFE), 20),
            (Job("502020", "Fritidsledare", LIFE), 18),
            (Job("502030", "Maskinist ishall", ("brandskydd-grund", "kemi-labb")), 10),
            (MANAGER, 10),
        ]
    ),
    "RTJ": Weighted(
        [
            (Job("701010", "Brandman", (*LIFE, "heta-arbeten")), 60),
            (Job("701020", "Styrkeledare", (*LEADS, "hlr", "heta-arbeten")), 20),
            (Job("701030", "Larmoperatör", LEADS), 20),
        ]
    ),
    "MIL": Weighted(
        [
            (Job("304010", "Miljöinspektör", DATA), 60),
            (Job("304020", "Laboratorieingenjör", ("brandskydd-grund", "kemi-labb")), 30),
            (MANAGER, 10),
        ]
    ),
    "HMN": Weighted(
        [
            (Job("605010", "Hamnarbetare", ("brandskydd-grund", "hamnskydd-isps", "truck")), 50),
            (Job("605020", "Hamnvärd", FIRE), 25),
            (Job("605030", "Trafikledare hamn", ("brandskydd-grund", "hamnskydd-isps")), 17),
            (MANAGER, 8),
        ]
    ),
    "STK": Weighted(
        [
            (OFFICE, 34),
            (Job("151020", "Ekonom", DATA), 18),
            (Job("151030", "HR-konsult", DATA), 14),
            (Job("152010", "It-tekniker", ("datasakerhet", "brandskydd-grund")), 14),
            (Job("152020", "Säkerhetssamordnare", (*LEADS, "datasakerhet")), 4),
            (Job("151040", "Arkivarie", FIRE), 8),
            (MANAGER, 8),
        ]
    ),
}
"""Jobs of each department, by how many people have them."""

DEPARTMENT_SIZE = Weighted(
    [
        ("FSK", 17),
        ("GRS", 21),
        ("GYM", 8),
        ("VOF", 25),
        ("SOC", 7),
        ("SBF", 2.5),
        ("GTK", 5),
        ("KOF", 4.5),
        ("RTJ", 3),
        ("MIL", 1.5),
        ("HMN", 1.5),
        ("STK", 4),
    ]
)
