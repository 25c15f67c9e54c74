"""The functions a query may call. What is not named here is refused, so a new DuckDB adds nothing by itself.

Left out on purpose: whatever reads files, settings, variables, the log or the database's own structure; whatever
waits; and whatever makes a value of any size, or takes any time, in one call, since a limit of time or memory is looked
at only between calls (`repeat`, `lpad`, `printf`, `range` outside FROM, `levenshtein`, `equi_width_bins`, …). So are
an aggregate that reserves as much as a number in the query says (`reservoir_quantile`), and `list_aggr`, which calls
any of them by a text. `check_arguments` refuses the forms of allowed functions that would do the same, and
`gathering` says where a query may gather rows into one text or list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mismartera.sql.errors import QueryRefusedError

from .syntax import function_of, literal, names

AGGREGATES = names("""
any_value approx_count_distinct approx_quantile arbitrary arg_max arg_max_null arg_min arg_min_null avg
bit_and bit_or bit_xor bool_and bool_or corr count count_if count_star countif covar_pop covar_samp entropy favg first
fsum geomean geometric_mean kahan_sum kurtosis kurtosis_pop last mad max max_by mean
median min min_by mode product quantile quantile_cont quantile_disc regr_avgx regr_avgy regr_count regr_intercept
regr_r2 regr_slope regr_sxx regr_sxy regr_syy sem skewness stddev stddev_pop stddev_samp
sum sumkahan var_pop var_samp variance wavg weighted_avg
cume_dist dense_rank fill first_value lag last_value lead nth_value ntile percent_rank rank rank_dense row_number
""")

SCALARS = names("""
abs acos acosh add asin asinh atan atan2 atanh bit_count cbrt ceil ceiling cos cosh cot degrees divide even exp
fdiv floor fmod gcd greatest greatest_common_divisor hash isfinite isinf isnan lcm least least_common_multiple ln log
log10 log2 mod multiply nextafter pi pow power radians random round round_even roundbankers sign signbit sin sinh sqrt
subtract tan tanh trunc xor

ascii bar char_length character_length chr contains ends_with format_bytes formatreadabledecimalsize
formatreadablesize instr lcase left len length like_escape ilike_escape not_like_escape not_ilike_escape lower ltrim
md5 nfc_normalize ord parse_filename position prefix regexp_extract regexp_full_match regexp_matches
reverse right rtrim sha1 sha256 split split_part starts_with str_split string_split string_to_array strip_accents
strlen strpos substr substring suffix trim ucase unicode upper

age ago century current_date current_localtime current_localtimestamp date_add date_diff date_part date_sub date_trunc
datediff datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear days_in_month decade epoch epoch_ms
epoch_ns epoch_us era get_current_time get_current_timestamp hour isodow isoyear julian last_day make_date make_time
make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz microsecond millennium millisecond minute month
monthname nanosecond now quarter second strftime strptime time_bucket timezone timezone_hour timezone_minute
to_centuries to_days to_decades to_hours to_microseconds to_milliseconds to_minutes to_months to_quarters to_seconds
to_timestamp to_weeks to_years today transaction_timestamp try_strptime week weekday weekofyear year yearweek

array_contains array_extract array_filter array_has array_length array_position array_slice array_sort array_transform
array_unique element_at flatten list_apply list_avg list_contains list_count list_distinct
list_element list_extract list_filter list_first list_has list_indexof list_last list_max list_median list_min
list_position list_reverse_sort list_slice list_sort list_sum list_transform list_unique map_extract map_keys map_values
struct_extract json_extract json_extract_path json_extract_path_text json_extract_string json_keys json_array_length
json_type json_valid json_value

alias coalesce constant_or_null error gen_random_uuid if ifnull nullif typeof
unnest uuid version
""")

GROWING = names("""
|| concat concat_ws list_concat list_cat array_concat array_cat list_append array_append list_prepend array_prepend
list_value list_pack row struct_pack json_array json_object map
""")
"""Functions whose result is as long as their arguments together; a query may use `MOST_GROWTH` of them in all."""

LENGTHENING = names("bin regexp_escape to_json")
"""Functions whose result is longer than their argument by a factor; each counts as `REPLACING_GROWTH` growing ones."""

REPLACING = names("replace regexp_replace translate")
"""Functions that may lengthen a value by a factor; where one does, it counts as `REPLACING_GROWTH` growing ones."""

MOST_GROWTH, REPLACING_GROWTH, LONGEST_REPLACEMENT = 12, 7, 100

COPYING = names("fmod nullif split_part wavg weighted_avg")
"""Macros of DuckDB's that write an argument twice, so that one within another doubles what is planned."""

LISTING = names("""
array_filter array_slice array_sort array_transform flatten list_apply list_filter list_reverse_sort list_slice
list_sort list_transform split str_split string_split string_to_array
""")
"""Functions that make lists; as a text a list is longer than what it was made of."""

TYPES = names("""
bool boolean logical tinyint int1 smallint int2 int16 short integer int int4 int32 signed bigint int8 int64 long hugeint
int128 utinyint uint8 usmallint uint16 uinteger uint32 ubigint uint64 uhugeint uint128 float float4 real double float8
decimal dec numeric varchar char bpchar text string nvarchar blob bytea binary varbinary date time timetz timestamp
datetime timestamptz timestamp_s timestamp_ms timestamp_us timestamp_ns interval uuid guid json list map struct row
""") | {"time with time zone", "timestamp with time zone"}
"""Types a value may be turned into. Left out: those of which one value is as large as a number in the query says
(`array`, `bit`, `bignum`), and those whose conversion is not safe of any text (`variant`, `geometry`)."""

LONGEST_FORMAT, MOST_QUANTILES = 100, 100

# With one argument more these keep the n least or largest rows, and reserve room for n in each group.
_MOST_ARGUMENTS = dict.fromkeys(names("max min"), 1) | dict.fromkeys(
    names("arg_max arg_max_null arg_min arg_min_null max_by min_by"), 2
)
_QUANTILES = names("approx_quantile quantile quantile_cont quantile_disc")

TEXTS = names("varchar char bpchar text string nvarchar blob bytea binary varbinary json")
"""Types of which a value may be as long as what it was made of."""

TABLE_FUNCTIONS = names("generate_series range unnest")
"""Functions that may stand in FROM."""

ALLOWED = AGGREGATES | SCALARS | GROWING | LENGTHENING | REPLACING


def check_arguments(name: str, arguments: Sequence[Mapping[str, Any]]) -> None:
    """Refuse forms of an allowed function whose one call may take any time or memory.

    Parameters
    ----------
    name : str
        In lower case.
    arguments : sequence of mapping
        Its arguments in the syntax tree.

    Raises
    ------
    QueryRefusedError
        For the n largest or least rows of an aggregate, quantiles that are not written out, and a `strftime` whose
        format is not.
    """
    most = _MOST_ARGUMENTS.get(name)
    if most is not None and len(arguments) > most:
        raise QueryRefusedError(
            f"{name} takes at most {most} argument{'s' * (most > 1)} here: its form for the n largest or least "
            "reserves room for n in every group",
            hint="ORDER BY with LIMIT n gives them; in each group QUALIFY row_number() OVER (...) <= n does",
        )
    if name in _QUANTILES and not all(map(_is_written_out, arguments[1:])):
        raise QueryRefusedError(
            f"{name} is refused here: the quantiles must be written out, {MOST_QUANTILES} at most, such as "
            f"{name}(close, 0.5) or {name}(close, [0.25, 0.75])"
        )
    if name.startswith("regexp_") and len(arguments) > 2 and not all(map(_is_written_out, arguments[2:])):
        raise QueryRefusedError(
            f"{name} is refused here: expected its groups and options written out, {MOST_QUANTILES} at most"
        )
    if name == "strftime" and len(arguments) == 2 and not _is_format(arguments[1]):
        raise QueryRefusedError(
            "strftime is refused here: its format must be written out as its second argument, in "
            f"{LONGEST_FORMAT} characters at most, such as strftime(timestamp, '%H:%M')"
        )


def _is_written_out(argument: Mapping[str, Any]) -> bool:
    if function_of(argument) != "list_value":
        return argument.get("class") == "CONSTANT"
    values = [one.get("expression", one) for one in argument["arguments"]]
    return len(values) <= MOST_QUANTILES and all(value.get("class") == "CONSTANT" for value in values)


def _is_format(argument: Mapping[str, Any]) -> bool:
    text = literal(argument)
    # Without a % it may be a time, and the first argument the format: DuckDB takes them in either order.
    return text is not None and "%" in text and len(text) <= LONGEST_FORMAT
