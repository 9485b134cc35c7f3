"""What a text must be like: a name, some text, and its size in UTF-8."""

import pandera.pandas as pa

schema = pa.DataFrameSchema(
    {
        "document": pa.Column("str", pa.Check.str_length(1, 500)),
        "text": pa.Column("str", pa.Check.str_length(min_value=1)),
        "bytes": pa.Column("int64", pa.Check.ge(1)),
    },
    strict=True,
)
