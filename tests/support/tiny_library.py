"""A cell library small enough to check areas, delays and energies by hand: every table holds one value all over."""


def _table(kind: str, picoseconds: float) -> str:
    row = ", ".join([str(picoseconds)] * 3)
    return (
        f'{kind} (t3x3) {{ index_1 ("1, 2, 3"); index_2 ("1, 2, 3"); values ("{row}", \\\n "{row}", \\\n "{row}"); }}'
    )


def _delay(related_pin: str, kind: str, rise: float, fall: float) -> str:
    tables = [("cell_rise", rise), ("cell_fall", fall), ("rise_transition", 1), ("fall_transition", 1)]
    return f'timing () {{ related_pin : "{related_pin}"; {kind} {" ".join(_table(*table) for table in tables)} }}'


def _energy(condition: str, rise: float, fall: float) -> str:
    tables = f"{_table('rise_power', rise)} {_table('fall_power', fall)}".replace("t3x3", "p3x3")
    return f"internal_power () {{ {condition} {tables} }}"


def _gate(name: str, area: float, inputs: str, function: str, rise: float, fall: float) -> str:
    """A gate that draws as many fJ at a rise as it has um2, half of that at a fall, and leaks ten times it in nW."""
    pins = " ".join(f"pin ({pin}) {{ direction : input; capacitance : 1; }}" for pin in inputs)
    sense = f"timing_sense : {'negative' if function.startswith('!') else 'positive'}_unate;"
    delays = " ".join(_delay(pin, sense, rise, fall) for pin in inputs)
    energies = " ".join(_energy(f'related_pin : "{pin}";', area, area / 2) for pin in inputs)
    output = f'pin (Y) {{ direction : output; max_capacitance : 9; function : "{function}"; {delays} {energies} }}'
    return f"cell ({name}) {{ area : {area}; cell_leakage_power : {10 * area}; {pins} {output} }}"


_SETUP = f"""timing () {{ related_pin : "CK"; timing_type : setup_rising;
  {_table("rise_constraint", 25)} {_table("fall_constraint", 15)} }}"""
_CLOCK_HOLDS = _energy('when : "D Q + !D !Q";', 5, 3)
_CLOCK_TAKES = _energy('when : "D ^ Q";', 0, 4)
_FLIP_FLOP = f"""cell (DFFX1) {{ area : 6; leakage_power () {{ when : "D"; value : 70; }}
  leakage_power () {{ when : "!D"; value : 50; }}
  ff (IQ, IQN) {{ next_state : "D"; clocked_on : "CK"; }}
  pin (CK) {{ direction : input; capacitance : 1; clock : true; {_CLOCK_HOLDS} {_CLOCK_TAKES} }}
  pin (Q) {{ direction : output; max_capacitance : 9; function : "IQ";
    {_delay("CK", "timing_sense : non_unate; timing_type : rising_edge;", 60, 70)}
    {_energy('related_pin : "CK";', 9, 8)} }}
  pin (D) {{ direction : input; capacitance : 1; {_SETUP}
    internal_power () {{ rise_power (scalar) {{ values ("2"); }} fall_power (scalar) {{ values ("1"); }} }} }} }}"""

TINY_LIBRARY = f"""/* inverter 1 um2, NAND 2 um2, buffer 3 um2 (ABC wants one), flip-flop 6 um2 */
library (tiny) {{
  time_unit : "1ps"; capacitive_load_unit (1, ff); delay_model : table_lookup;
  voltage_unit : "1V"; leakage_power_unit : "1nW"; nom_voltage : 2; nom_temperature : 25;
  power_lut_template (p3x3) {{ variable_1 : input_transition_time; variable_2 : total_output_net_capacitance;
    index_1 ("1, 2, 3"); index_2 ("1, 2, 3"); }}
  lu_table_template (t3x3) {{ variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("1, 2, 3"); index_2 ("1, 2, 3"); }}
  {_gate("INVX1", 1, "A", "!A", 10, 10)}
  {_gate("NAND2X1", 2, "AB", "!(A B)", 30, 20)}
  {_gate("BUFX1", 3, "A", "A", 50, 50)}
  {_FLIP_FLOP}
}}
"""
