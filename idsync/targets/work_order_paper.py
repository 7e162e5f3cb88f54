"""The order as paper: what a caretaker reads, ticks, signs and hands back.

PDF's own fonts hold Latin-1, so å, ä and ö need no font file; `font` brings others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from fpdf import FPDF, FontFace
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.table import Table

from idsync.targets.work_order_letters import FAMILY, Letters
from idsync.targets.work_order_tasks import DOORS, Line, Order, Reminder
from idsync.targets.work_order_words import ACTIONS, REASONS, WORDS, Language, say

INK, PALE, ALARM = (20, 20, 20), (232, 232, 232), (176, 0, 32)
MARGIN = 12
SIGNATURE_HEIGHT = 44
MOST_CARDS = 6
COLUMNS = ("line", "what", "reference", "name", "card", "door", "from", "last day", "code", "did")
WIDTHS = (9, 48, 19, 46, 26, 44, 25, 23, 19, 23)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """What is the same on every document."""

    landlord: str
    sender: str
    contact: str
    languages: tuple[Language, ...]
    zone: ZoneInfo
    letters: Letters


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What a document says of itself beside its lines."""

    answer_file: str
    whole_code: str
    checksum: str


class Paper(FPDF):
    """An A4 sheet across, with the document's name and the page on the foot of every page."""

    def __init__(self, head: Letterhead, title: str) -> None:
        super().__init__(orientation="landscape", format="A4")
        self.head = head
        self.title_line = title
        self.family = "helvetica"
        if head.letters.font:
            self.family = FAMILY
            for style in ("", "B"):
                self.add_font(FAMILY, style=style, fname=head.letters.font)
        self.set_margins(MARGIN, MARGIN)
        self.set_auto_page_break(True, margin=16)
        self.set_text_color(*INK)
        self.set_title(self.shown(title))
        self.set_lang(head.languages[0])
        self.set_creator("idsync")

    def shown(self, text: str) -> str:
        """Return *text* with the letters that the font has, the others as their numbers."""
        return self.head.letters.printable(text)

    def say(self, word: str, between: str = " / ") -> str:
        """Return a word in the languages of the landlord."""
        return say(WORDS[word], self.head.languages, between)

    def footer(self) -> None:
        """Write which document this is and which page: sheets get parted."""
        self.set_y(-11)
        self.set_font(self.family, size=8)
        page = f"{self.say('page')} {self.page_no()}/{{nb}}"
        self.cell(0, 4, f"{self.shown(self.title_line)}   {page}", align="R")

    def write_line(self, text: str, size: float = 9, style: str = "") -> None:
        """Write a paragraph over the whole width."""
        self.set_font(self.family, style=style, size=size)
        self.multi_cell(
            0, size * 0.5, self.shown(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT
        )

    def write_parts(self, parts: Sequence[str], size: float) -> None:
        """Write short texts after one another, none of them parted at the end of a row."""
        self.set_font(self.family, size=size)
        rows = [""]
        for part in map(self.shown, parts):
            longer = f"{rows[-1]}    {part}" if rows[-1] else part
            if rows[-1] and self.get_string_width(longer) > self.epw - 2 * self.c_margin:
                rows.append(part)
            else:
                rows[-1] = longer
        for row in rows:
            self.cell(0, size * 0.5, row, new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def order_paper(order: Order, lines: Sequence[Line], head: Letterhead, notes: Notes) -> bytes:
    """Return an order as PDF; the same order always gives the same bytes."""
    title = f"{say(WORDS['order'], head.languages)} {order.number}"
    return _paper(title, order, order.made_at, "deadline", lines, head, notes)


def reminder_paper(
    reminder: Reminder, lines: Sequence[Line], head: Letterhead, notes: Notes
) -> bytes:
    """Return a reminder as PDF: the lines of an overdue order that have no answer."""
    title = (
        f"{say(WORDS['reminder'], head.languages)} {reminder.number}: "
        f"{say(WORDS['reminds of'], head.languages)} {reminder.order.number}"
    )
    return _paper(title, reminder.order, reminder.made_at, "was due", lines, head, notes)


def local_time(instant: datetime, zone: ZoneInfo) -> str:
    """Return an instant as it stands on an order."""
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M}"


def first_day(line: Line, zone: ZoneInfo) -> str:
    """Return the first day of a line's interval; "" is no limit."""
    begin = line.task.valid_from if line.task.action in DOORS else None
    return begin.astimezone(zone).date().isoformat() if begin else ""


def last_day(line: Line, zone: ZoneInfo) -> str:
    """Return the last day, which is included: the day before the instant of the end."""
    end = line.task.valid_to if line.task.action in DOORS else None
    if end is None:
        return ""
    return datetime.fromordinal(end.astimezone(zone).toordinal() - 1).date().isoformat()


def _paper(
    title: str, order: Order, made_at: datetime, due: str, lines: Sequence[Line],
    head: Letterhead, notes: Notes,
) -> bytes:  # fmt: skip
    paper = Paper(head, title)
    paper.set_creation_date(made_at.astimezone(UTC))
    paper.add_page()
    paper.set_font(paper.family, style="B", size=17)
    width = paper.get_string_width(paper.shown(title))
    paper.cell(0, 9, paper.shown(title))
    paper.set_x(MARGIN)
    paper.set_font(paper.family, style="B", size=13)
    by = f"{paper.say(due)}: {local_time(order.deadline, head.zone)}"
    if width + paper.get_string_width(by) + MARGIN > paper.epw:
        paper.ln(9)
    paper.cell(0, 9, by, align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    if order.urgent:
        paper.set_fill_color(*ALARM)
        paper.set_text_color(255, 255, 255)
        paper.set_font(paper.family, style="B", size=12)
        paper.cell(0, 8, f" {paper.say('urgent')}", fill=True, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        paper.set_text_color(*INK)
        paper.set_fill_color(255, 255, 255)  # or the table would be filled, too
    paper.ln(2)
    facts = [("to", head.landlord), ("from whom", head.sender), ("questions", head.contact),
             ("made", local_time(made_at, head.zone))]  # fmt: skip
    paper.write_parts([f"{paper.say(word)}: {fact}" for word, fact in facts if fact], size=9)
    paper.ln(1)
    for each in (
        paper.say("how", "\n").format(*[notes.answer_file] * len(head.languages)).split("\n")
    ):
        paper.write_line(each)
    paper.ln(2)
    _tasks(paper, lines)
    _signature(paper, notes)
    return bytes(paper.output())


def _tasks(paper: Paper, lines: Sequence[Line]) -> None:
    languages, zone = paper.head.languages, paper.head.zone
    paper.set_font(paper.family, size=9)
    paper.set_draw_color(120, 120, 120)
    bold = FontFace(emphasis="BOLD", fill_color=PALE)
    with paper.table(
        col_widths=WIDTHS, headings_style=bold, borders_layout=TableBordersLayout.ALL,
        line_height=4.2, padding=1, text_align="LEFT", first_row_as_headings=True,
    ) as table:  # fmt: skip
        table.row([say(WORDS[word], languages, "\n") for word in COLUMNS])
        for line in lines:
            _task(table, paper, line, zone)


def _task(table: Table, paper: Paper, line: Line, zone: ZoneInfo) -> None:
    task = line.task
    what = say(ACTIONS[task.action], paper.head.languages)
    if line.replaces:
        what += "\n" + paper.say("replaces", "\n").format(
            *[*line.replaces] * len(paper.head.languages)
        )
    name = task.name or (f"({paper.say('empty')})" if task.action == "rename" else "")
    row = table.row()
    for text in (
        str(line.number), what, line.alias, name, _few(task.cards),
        task.ref if task.action in DOORS else "", first_day(line, zone), last_day(line, zone),
        line.code, "",
    ):  # fmt: skip
        row.cell("\n".join(map(paper.shown, text.split("\n"))))


def _few(cards: Sequence[str]) -> str:
    """Return cards one below another; a row must fit a page, so of many it says how many more."""
    more = [f"+ {len(cards) - MOST_CARDS} (CSV)"] if len(cards) > MOST_CARDS else []
    return "\n".join([*cards[:MOST_CARDS], *more])


def _signature(paper: Paper, notes: Notes) -> None:
    languages = paper.head.languages
    if paper.will_page_break(SIGNATURE_HEIGHT):
        paper.add_page()
    paper.ln(4)
    paper.write_line(f"{paper.say('reasons')}:", style="B")
    paper.write_parts([f"{code} {say(words, languages)}" for code, words in REASONS.items()], 8)
    if notes.whole_code:
        paper.ln(1)
        paper.write_line(f"{paper.say('whole')}: {notes.whole_code}")
    paper.ln(10)
    left = paper.get_x()
    for word, width in (("who", 95), ("day", 55), ("signature", 105)):
        top = paper.get_y()
        paper.line(left, top, left + width, top)
        paper.set_xy(left, top + 1)
        paper.set_font(paper.family, size=8)
        paper.cell(width, 4, paper.say(word))
        paper.set_xy(left, top)
        left += width + 9
    paper.set_xy(MARGIN, paper.get_y() + 7)
    if notes.checksum:
        paper.write_line(f"{paper.say('checksum')}: {notes.checksum}", size=7)
