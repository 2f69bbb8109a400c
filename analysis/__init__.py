"""From stored records to numbers, tables and figures. Imports no torch."""
