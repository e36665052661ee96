/** What a picture is by its first bytes: the server takes no colour for grey, and a browser tells no one from the other. */

const PNG = [137, 80, 78, 71, 13, 10, 26, 10];
const OF_PNG = { 0: 1, 2: 3, 4: 2, 6: 4 }; // channels by colour type; a palette's (3) are left to the server

/** {channels, bits} of a PNG or JPEG; null of all else. Source: PNG specification, 11.2.2 IHDR; ITU-T T.81, B.2.2. */
export function headerOf(bytes) {
  if (PNG.every((one, k) => bytes[k] === one)) {
    const channels = OF_PNG[bytes[25]];
    return channels ? { channels, bits: bytes[24] } : null;
  }
  return bytes[0] === 0xff && bytes[1] === 0xd8 ? frameOf(bytes) : null;
}

/** A JPEG's frame lies behind segments that each say how long they are. */
function frameOf(bytes) {
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; at += 2 + 256 * bytes[at + 2] + bytes[at + 3]) {
    const kind = bytes[at + 1];
    if (kind >= 0xc0 && kind <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(kind)) return { channels: bytes[at + 9], bits: bytes[at + 4] };
  }
  return null;
}
