"""The city's departments, areas, units and houses. As many in a small city as in a big one."""

from __future__ import annotations

from dataclasses import dataclass

TREE = """
FSK Förskoleförvaltningen
  Förskola norr
    Förskolan Björken @BJORKEN
    Förskolan Lärkan @LARKAN
    Förskolan Tallkotten @TALLKOTTEN
    Förskolan Månstrålen @MANSTRALEN
  Förskola söder
    Förskolan Ängen @ANGEN
    Förskolan Solrosen @SOLROSEN
    Förskolan Ekollonet @EKOLLONET
  Förskola öster
    Förskolan Blåklockan @BLAKLOCKAN
    Förskolan Sjöstjärnan @SJOSTJARNAN
    Öppna förskolan Kajutan @KAJUTAN
GRS Grundskoleförvaltningen
  Grundskola norr
    Granskolan @GRANSKOLAN
    Kvarnskolan @KVARNSKOLAN
    Fågelskolan @FAGELSKOLAN
  Grundskola söder
    Rönnskolan @RONNSKOLAN
    Åbackskolan @ABACKSKOLAN
    Kometskolan @KOMETSKOLAN
  Grundskola väster
    Västanskolan @VASTANSKOLAN
    Hällskolan @HALLSKOLAN
  Elevhälsan
    Centrala elevhälsan @ELEVHALSAN
GYM Gymnasie- och vuxenutbildningsförvaltningen
  Gymnasieskolan
    Ekbackens gymnasium @EKBACKEN
    Sjöbrisens gymnasium @SJOBRISEN
    Fordonsgymnasiet Kolven @KOLVEN
  Vuxenutbildningen
    Komvux Ankargatan @ANKARGATAN
    Sfi Ankargatan @ANKARGATAN
VOF Vård- och omsorgsförvaltningen
  Hemtjänsten
    Hemtjänst Nord @HEMNORD
    Hemtjänst Syd @HEMSYD
    Nattpatrullen @HEMNORD
  Särskilt boende
    Äldreboendet Solgläntan @SOLGLANTAN
    Äldreboendet Ekdungen @EKDUNGEN
    Äldreboendet Åbrinken @ABRINKEN
    Äldreboendet Kastanjen @KASTANJEN
  Funktionsstöd
    Gruppbostaden Måsen @MASEN
    Gruppbostaden Tärnan @TARNAN
    Dagliga verksamheten Verkstan @VERKSTAN
  Hälso- och sjukvård
    Kommunrehab @REHAB
    Sjuksköterskeenheten @REHAB
SOC Socialförvaltningen
  Barn och familj
    Mottagningen Barn och unga @FYRKANTEN
    Familjehuset @FAMILJEHUSET
  Vuxen
    Beroendecentrum @BEROENDE
    Stödboendet Fyren @FYREN
  Ekonomiskt bistånd
    Försörjningsstöd @FYRKANTEN
SBF Stadsbyggnadsförvaltningen
  Plan och bygglov
    Detaljplan @BYGGHUSET
    Bygglov @BYGGHUSET
  Kart och mät
    Kartverkstaden @KARTAN
GTK Gatukontoret
  Gata och park
    Depå Norr @DEPANORR
    Depå Söder @DEPASODER
  Vatten och avfall
    Vattenverket @VATTENVERKET
    Reningsverket @RENINGSVERKET
    Återvinningscentralen @ATERVINNING
  Fordon och fastighet
    Fordonsverkstaden @FORDON
    Fastighetsjouren @DEPANORR
KOF Kultur- och fritidsförvaltningen
  Kultur
    Stadsbiblioteket @BIBLIOTEKET
    Konsthallen @KONSTHALLEN
    Kulturskolan @KULTURSKOLAN
  Fritid
    Badhuset @BADHUSET
    Ishallen @ISHALLEN
    Fritidsgården Vintergatan @VINTERGATAN
RTJ Räddningstjänsten
  Operativ
    Brandstation City @BRANDCITY
    Brandstation Hamnen @BRANDHAMN
  Ledning
    Ledningscentralen @LEDNING
MIL Miljöförvaltningen
  Tillsyn
    Hälsoskydd @MILJOHUSET
    Livsmedelskontroll @MILJOHUSET
  Mätning
    Miljölaboratoriet @LABBET
HMN Hamnförvaltningen
  Hamnkontoret
    Hamnkontoret @HAMNKONTORET
  Hamndrift
    Småbåtshamnen @SMABAT
    Lotsutkiken @UTKIKEN
    Färjeterminalen @TERMINALEN
STK Stadskontoret
  Stadsledning
    Kommunkansliet @STADSHUSET
    Kommunfullmäktige @STADSHUSET
    Säkerhetsenheten @STADSHUSET
  Ekonomi och personal
    Ekonomiavdelningen @STADSHUSET
    HR-avdelningen @STADSHUSET
  Service
    It-drift @DATAHALLEN
    Kontaktcenter @KONTAKT
    Stadsarkivet @ARKIVET
    Lokalservice @STADSHUSET
"""

COUNCIL = "Kommunfullmäktige"
"""Only elected people are in this unit."""

TERMINAL = "Färjeterminalen"
"""Only the six people of the landlord's system are in this unit."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit where people work, in one house."""

    department: str
    area: str
    name: str
    code: str  # of the department: the first part of rights that all its houses share
    site: str  # the first part of the names of the house's rights

    @property
    def path(self) -> str:
        """Return the unit's place in the tree, as the HR file writes it."""
        return f"{self.department}/{self.area}/{self.name}"

    @property
    def group(self) -> str:
        """Return the name of the unit's group in the directory."""
        return f"Enhet {self.name}"


def _read(tree: str) -> tuple[Unit, ...]:
    units = []
    code = department = area = ""
    for line in tree.strip().splitlines():
        depth = len(line) - len(line.lstrip())
        if depth == 0:
            code, _, department = line.partition(" ")
        elif depth == 2:
            area = line.strip()
        else:
            name, _, site = line.strip().partition(" @")
            units.append(Unit(department, area, name, code, site))
    return tuple(units)


UNITS = _read(TREE)
UNIT = {unit.name: unit for unit in UNITS}
DEPARTMENTS = {unit.code: unit.department for unit in UNITS}
SITES = tuple(dict.fromkeys(unit.site for unit in UNITS))


def department_group(code: str) -> str:
    """Return the name of the directory group of the department with this *code*."""
    return f"Förvaltning {code}"
