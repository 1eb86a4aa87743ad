"""As much of ELF as it takes to say which function refers to which: x86-64 and AArch64 relocatable
objects, alone or in static libraries."""

import dataclasses
import struct


@dataclasses.dataclass
class Symbol:
    name: str
    section: int  # 0: defined elsewhere
    value: int
    is_section: bool
    is_local: bool


class Object:
    """One object file: its symbols and, for each section, the symbols that it refers to."""

    def __init__(self, name, data):
        self.name = name
        if data[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{name} is not a 64-bit little-endian ELF object")
        (offset,) = struct.unpack_from("<Q", data, 0x28)
        size, count, names = struct.unpack_from("<HHH", data, 0x3A)
        headers = [struct.unpack_from("<IIQQQQIIQQ", data, offset + index * size)
                   for index in range(count or struct.unpack_from("<Q", data, offset + 32)[0])]
        table = headers[names][4]
        self.sections = [_string(data, table + header[0]) for header in headers]
        self.symbols = []
        self.references = {}  # section -> indices of symbols
        for header in headers:
            if header[1] == 2:  # SHT_SYMTAB
                self._read_symbols(data, header, headers)
        for header in headers:
            if header[1] == 4:  # SHT_RELA
                _, _, _, _, start, length, _, target, _, entry = header
                found = self.references.setdefault(target, set())
                for at in range(start, start + length, entry):
                    (info,) = struct.unpack_from("<Q", data, at + 8)
                    found.add(info >> 32)

    def _read_symbols(self, data, header, headers):
        start, length, link, entry = header[4], header[5], header[6], header[9]
        strings = headers[link][4]
        for at in range(start, start + length, entry):
            name, info, _, section, value, _ = struct.unpack_from("<IBBHQQ", data, at)
            self.symbols.append(Symbol(_string(data, strings + name),
                                       0 if section >= 0xFF00 else section, value,
                                       info & 15 == 3, info >> 4 == 0))


def _string(data, at):
    return data[at:data.index(b"\0", at)].decode("utf-8", "replace")


def objects(path):
    """The object files in a static library, or the one that `path` is."""
    data = path.read_bytes()
    if not data.startswith(b"!<arch>\n"):
        return [Object(path.name, data)]
    found, long_names, at = [], b"", 8
    while at + 60 <= len(data):
        name = data[at:at + 16].decode().rstrip()
        size = int(data[at + 48:at + 58])
        body = data[at + 60:at + 60 + size]
        if name == "//":
            long_names = body
        elif name not in ("/", "/SYM64/"):
            if name.startswith("/"):
                begin = int(name[1:])
                name = long_names[begin:long_names.index(b"/", begin)].decode()
            found.append(Object(f"{path.name}({name.rstrip('/')})", body))
        at += 60 + size + size % 2
    return found
