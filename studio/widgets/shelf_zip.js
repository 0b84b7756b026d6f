// A folder with labels on its way: its files as one ZIP, stored as they are, for only a data set as a whole says which label is whose.
// Knows the format (APPNOTE 6.3, without ZIP64); nothing of the screen.

const MOST_ZIPPED = 65_000, EPOCH = 0x21, UTF8_FLAG = 0x800; // 1980, the first day a ZIP knows
const CRC = Uint32Array.from({ length: 256 }, (_, number) => {
  for (let bit = 0; bit < 8; bit++) number = number & 1 ? (number >>> 1) ^ 0xedb88320 : number >>> 1;
  return number;
});

function crc32(bytes) {
  let sum = -1;
  for (const byte of bytes) sum = CRC[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}

// Numbers of 2 or 4 bytes, the low one first.
function fields_of(sizes, values) {
  const found = new DataView(new ArrayBuffer(sizes.reduce((sum, size) => sum + size, 0)));
  let at = 0;
  sizes.forEach((size, place) => {
    if (size === 2) found.setUint16(at, values[place], true); else found.setUint32(at, values[place], true);
    at += size;
  });
  return found.buffer;
}

// files: [{name, file}], `name` the place below the folder. `stopped` is asked between two files. Null where it was stopped.
async function packed_files(name, files, stopped) {
  const parts = [], directory = [];
  let offset = 0;
  for (const one of files) {
    if (stopped()) return null;
    const bytes = new Uint8Array(await one.file.arrayBuffer()), path = new TextEncoder().encode(one.name), size = bytes.length;
    const common = [UTF8_FLAG, 0, 0, EPOCH, crc32(bytes), size, size, path.length, 0];
    parts.push(fields_of([4, 2, 2, 2, 2, 2, 4, 4, 4, 2, 2], [0x04034b50, 20, ...common]), path, one.file);
    directory.push(fields_of([4, 2, 2, 2, 2, 2, 2, 4, 4, 4, 2, 2, 2, 2, 2, 4, 4], [0x02014b50, 20, 20, ...common, 0, 0, 0, 0, offset]), path);
    offset += 30 + path.length + size;
  }
  const length = directory.reduce((sum, part) => sum + part.byteLength, 0);
  const end = fields_of([4, 2, 2, 2, 2, 4, 4, 2], [0x06054b50, 0, 0, files.length, files.length, length, offset, 0]);
  return new File([...parts, ...directory, end], `${name}.zip`);
}
