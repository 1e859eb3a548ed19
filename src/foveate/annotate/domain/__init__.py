"""The protocol, marks, consensus and agreement of an annotation project; they know no database and no web."""
