"""The items of Command Centre that a cardholder is tied to: fields, groups, competencies.

Names stand in the settings and in grants; links are found by name, once, and anew when one
does not hold. Operations of oas3/out/cc_rest.yaml: GET /api/personal_data_fields,
/api/access_groups, /api/access_groups/{id}/cardholders, /api/competencies, /api/divisions.
An empty list "usually means your operator does not have the privilege".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from idsync.errors import ConfigError, Denied, Incomplete, Refused
from idsync.targets.gallagher_service import Record, Service

FIELD_FIELDS = ("id", "href", "name", "type", "unique", "operatorAccess", "accessGroups")
GROUP_FIELDS = ("id", "href", "name", "parent", "division", "cardholders")
ITEM_FIELDS = ("id", "href", "name")
LONGEST_LINE = 50
"""How many parents of a group or division are followed: a circle ends there."""


@dataclass(frozen=True, slots=True)
class Field:
    """A personal data field: `member` is its name in a cardholder's record."""

    id: str
    name: str
    type: str
    unique: bool
    access: str
    groups: frozenset[str]  # links and names of the groups that give it

    @property
    def member(self) -> str:
        """The name of the field in a cardholder's record ("Cardholder detail")."""
        return f"@{self.name}"


class Items:
    """What the settings and the grants name, found in one Command Centre."""

    def __init__(
        self, service: Service, *, fields: Mapping[str, str], base_group: str, division: str
    ) -> None:
        self._service = service
        self._wanted = dict(fields)
        self._base_name = base_group
        self._division_name = division
        self._fields: dict[str, Field] | None = None
        self._groups: dict[str, list[Record]] | None = None
        self._competencies: dict[str, list[Record]] | None = None
        self._division: str | None = None

    def forget(self) -> None:
        """Find fields, groups and competencies anew at the next question."""
        self._fields = self._groups = self._competencies = None

    # ── personal data fields ────────────────────────────────────────────────────────────

    def fields(self) -> dict[str, Field]:
        """Return the fields that the settings name: of "key", and of attributes.

        Raises:
            Denied: one is not shown, or its values are not.
            ConfigError: two have the name, or the key's can be the same twice.
        """
        if self._fields is None:
            link = self._service.licensed("personalDataFields")
            shown = [_field(self._service, one) for one in
                     self._service.everything(link, FIELD_FIELDS)]  # fmt: skip
            self._fields = {use: _named(shown, name) for use, name in self._wanted.items()}
            if not self._fields["key"].unique:
                raise ConfigError(
                    "key_field: the personal data field is not marked unique in Command Centre, so "
                    "two people could have one key: mark it unique"
                )
            if self._fields["key"].type != "string":
                raise ConfigError(
                    "key_field: the personal data field is not of the type text, and could change "
                    "the keys: choose or make one of that type"
                )
        return self._fields

    def require_carried(self) -> None:
        """See that whoever is in the base group has the fields: else they are not kept.

        Values of a field that no group of the cardholder gives are dropped without a word
        ("CardholderPOST", @email). A group also gives what its parents give.

        Raises:
            ConfigError: the base group does not give one of them.
            Denied: the operator may not write one.
        """
        line = self._line_of_base()
        for use, field in self.fields().items():
            setting = f"{use}_field"
            if not field.groups & line:
                raise ConfigError(
                    f"{setting}: base_group does not give its members this personal data field: "
                    "add the field to the group in Command Centre"
                )
            if field.access == "readOnly":
                raise Denied(
                    f"{setting}: idsync's operator may read the personal data field, not write it: "
                    "give its operator group full access"
                )

    def _line_of_base(self) -> set[str]:
        """Return links and names of the base group and its parents."""
        by_link = {
            self._service.followed(group): group
            for same in self._all_groups().values()
            for group in same
        }
        line: set[str] = set()
        group: Record | None = self.base()
        for _ in range(LONGEST_LINE):
            if group is None:
                break
            line |= {self._service.followed(group), str(group.get("name"))}
            parent = group.get("parent")
            if not isinstance(parent, dict) or not parent:
                break
            line.add(str(parent.get("name")))
            group = by_link.get(self._service.followed(parent)) if "href" in parent else None
        return line

    # ── groups and competencies ─────────────────────────────────────────────────────────

    def base(self) -> Record:
        """Return the base group.

        Raises:
            Denied: it is not shown.
            ConfigError: several are.
        """
        found = self._all_groups().get(self._base_name, [])
        if not found:
            raise Denied(
                "base_group: no access group of this name is shown: check the name, and that "
                "idsync's operator has the privilege View Access Groups on its division"
            )
        if len(found) > 1:
            raise ConfigError("base_group: several access groups have this name: rename one")
        return found[0]

    def group(self, name: str) -> str:
        """Return the href of the group of this name, as Command Centre wrote it.

        Raises:
            Refused: there is none, or several.
        """
        return _one_href(self._all_groups().get(name, []), "access group", "View Access Groups")

    def has_group(self, name: str) -> bool:
        """Return whether a group of this name is shown."""
        return name in self._all_groups()

    def competency(self, name: str) -> str:
        """Return the href of the competency of this name; raises as `group`."""
        if self._competencies is None:
            link = self._service.licensed("competencies")
            self._competencies = _by_name(self._service.everything(link, ITEM_FIELDS))
        return _one_href(self._competencies.get(name, []), "competency", "View Site")

    def _all_groups(self) -> dict[str, list[Record]]:
        if self._groups is None:
            link = self._service.licensed("accessGroups")
            self._groups = _by_name(self._service.everything(link, GROUP_FIELDS))
            if not self._groups:
                raise Denied(
                    "Command Centre: it shows no access group at all: give idsync's operator the "
                    "privilege View Access Groups, then push Refresh operator privileges"
                )
        return self._groups

    def base_members(self) -> set[str]:
        """Return the links of all who are in the base group: a second count of idsync's people.

        The list is not paged, and names those whom the operator may not see, without href
        ("GET /api/access_groups/{id}/cardholders").

        Raises:
            Denied: the operator may not see all of them.
            Incomplete: there is no list.
        """
        link = self.base().get("cardholders")
        listed = self._service.get(self._service.followed(link)) if isinstance(link, dict) else None
        members = listed.get("cardholders", []) if listed is not None else None
        if not isinstance(members, list):
            raise Incomplete(
                "base_group: its list of members is not shown, so nobody can tell whether "
                "everybody is: check the privilege View Access Groups"
            )
        people = [member.get("cardholder") for member in members if isinstance(member, dict)]
        hidden = sum(1 for one in people if not isinstance(one, dict) or not one.get("href"))
        if hidden:
            raise Denied(
                f"base_group: {hidden} of its members are not shown to idsync's operator: give it "
                "View Cardholders on their division, or take them out of the group"
            )
        return {self._service.followed(one) for one in people if isinstance(one, dict)}

    # ── division ────────────────────────────────────────────────────────────────────────

    def division(self) -> str:
        """Return the href of the division that new people are put in.

        The setting is an address as Command Centre shows it, or a name: looked for in the
        lists of divisions that /api shows ("Divisions"), and among the base group's
        division and its parents.

        Raises:
            ConfigError: none of that name is shown.
        """
        if self._division is None:
            wanted = self._division_name
            if "/" in wanted:
                self._service.path_of_link(wanted)
                self._division = wanted
            else:
                self._division = self._listed_division() or self._division_above_base()
        if self._division is None:
            raise ConfigError(
                "division: none of this name is shown: check the name, or write the division's "
                "address (href) as Command Centre's REST API shows it"
            )
        return self._division

    def _listed_division(self) -> str | None:
        for feature in self._service.home().features:
            link = self._service.link(feature, "divisions")
            if link is None:
                continue
            for division in self._service.everything(link, ("id", "href", "name")):
                if division.get("name") == self._division_name:
                    return str(division["href"])
        return None

    def _division_above_base(self) -> str | None:
        above = self.base().get("division")
        for _ in range(LONGEST_LINE):
            if not isinstance(above, dict) or "href" not in above:
                break
            division = self._service.get(self._service.followed(above))
            if division is None:
                break
            if division.get("name") == self._division_name:
                return str(above["href"])
            above = division.get("parent")
        return None


def _field(service: Service, record: Record) -> Field:
    groups = [group for group in record.get("accessGroups", []) if isinstance(group, dict)]
    known = {str(group.get("name")) for group in groups}
    known |= {service.followed(group) for group in groups if "href" in group}
    return Field(
        id=str(record.get("id")),
        name=str(record.get("name")),
        type=str(record.get("type", "string")),
        unique=record.get("unique") is True,
        access=str(record.get("operatorAccess", "fullAccess")),
        groups=frozenset(known),
    )


def _named(fields: list[Field], name: str) -> Field:
    found = [field for field in fields if field.name == name]
    if not found:
        raise Denied(
            "a personal data field that the settings name is not shown: check key_field, "
            "mail_field and department_field, and that idsync's operator has the privilege "
            "View Personal Data Definitions"
        )
    if len(found) > 1:
        raise ConfigError("two personal data fields have the same name: rename one")
    if found[0].access == "noAccess":
        raise Denied(
            "the values of a personal data field that the settings name are hidden from idsync's "
            "operator: give its operator group full access to it"
        )
    return found[0]


def _by_name(records: list[Record]) -> dict[str, list[Record]]:
    named: dict[str, list[Record]] = {}
    for record in records:
        named.setdefault(str(record.get("name")), []).append(record)
    return named


def _one_href(found: list[Record], what: str, privilege: str) -> str:
    if not found:
        raise Refused(
            f"no {what} of a grant's name is shown: correct the profile, or give idsync's operator "
            f"the privilege {privilege}"
        )
    if len(found) > 1:
        raise Refused(f"several of a grant's name: rename all but one {what}")
    return str(found[0]["href"])
