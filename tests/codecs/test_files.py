"""Every format at full depth, against Pillow and tifffile where these can tell, and a bit-exact writer where not."""

import contextlib
import io

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from reverie.codecs import files, raster, tiff
from reverie.codecs.pixels import UnreadableImage, upright
from reverie.codecs.resize import cover
from tests.codecs.pngs import png16

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tiffed(pixels, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def decoded(data):
    """Decode, and hold the header to what decoding finds."""
    picture = files.decode(data, "test")
    assert files.header(io.BytesIO(data), "test") == picture.header
    assert picture.pixels.shape == (picture.header.height, picture.header.width, picture.header.channels)
    return picture


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("interlace", [False, True])
def test_sixteen_bit_pngs_keep_every_bit(channels, interlace):
    pixels = RNG.integers(0, 65536, (11, 13, channels), dtype=np.uint16)
    picture = decoded(png16(pixels, interlace=interlace))
    assert picture.pixels.dtype == np.uint16
    np.testing.assert_array_equal(picture.pixels, pixels)


@pytest.mark.parametrize("clear", [[513], [1, 256, 65535]])
def test_a_transparent_colour_of_sixteen_bits_becomes_alpha(clear):
    pixels = np.zeros((2, 2, len(clear)), np.uint16)
    pixels[0, 1] = clear
    pixels[1, 1] = np.asarray(clear) ^ 1  # the same in its high bytes
    picture = decoded(png16(pixels, clear=clear))
    np.testing.assert_array_equal(picture.pixels[..., :-1], pixels)
    np.testing.assert_array_equal(picture.pixels[..., -1], [[65535, 0], [65535, 65535]])


@pytest.mark.parametrize(
    "mode, kind, colour",
    [
        ("L", "PNG", "grey"),
        ("LA", "PNG", "grey+alpha"),
        ("RGB", "PNG", "rgb"),
        ("RGBA", "PNG", "rgba"),
        ("I;16", "PNG", "grey"),
        ("L", "BMP", "grey"),
        ("RGB", "BMP", "rgb"),
        ("RGB", "TIFF", "rgb"),
        ("RGBA", "TIFF", "rgba"),
        ("I;16", "TIFF", "grey"),
        ("I", "TIFF", "grey"),
        ("F", "TIFF", "grey"),
    ],
)
def test_lossless_files_come_back_as_they_are(mode, kind, colour):
    image = (
        Image.fromarray(PHOTO[..., 0].astype(np.uint16) * 251)
        if mode == "I;16"
        else Image.fromarray(PHOTO).convert(mode)
    )
    picture = decoded(saved(image, kind))
    np.testing.assert_array_equal(picture.pixels.squeeze(), np.asarray(image))
    assert picture.header.colour == colour
    assert picture.header.changes == ()


@pytest.mark.parametrize("kind, options", [("JPEG", {}), ("WEBP", {}), ("WEBP", {"lossless": True})])
def test_lossy_files_are_what_pillow_makes_of_them(kind, options):
    data = saved(Image.fromarray(PHOTO), kind, **options)
    np.testing.assert_array_equal(decoded(data).pixels, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_palette_one_bit_and_transparent_colour_are_expanded_and_told():
    image = Image.fromarray(PHOTO).quantize(16)
    picture = decoded(saved(image, "PNG"))
    np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))
    assert picture.header.changes == ("palette: read as its colours",)

    clear = decoded(saved(image, "PNG", transparency=3))
    np.testing.assert_array_equal(clear.pixels[..., 3] == 0, np.asarray(image) == 3)

    bits = RNG.integers(0, 2, (5, 9)).astype(bool)
    one = decoded(saved(Image.fromarray(bits), "PNG"))
    np.testing.assert_array_equal(one.pixels[..., 0], bits * 255)
    assert one.header.changes == ("1-bit: read as 0 and 255",)

    grey = decoded(saved(Image.fromarray(PHOTO[..., 0]), "PNG", transparency=int(PHOTO[0, 0, 0])))
    np.testing.assert_array_equal(grey.pixels[..., 0], PHOTO[..., 0])
    np.testing.assert_array_equal(grey.pixels[..., 1] == 0, PHOTO[..., 0] == PHOTO[0, 0, 0])


def test_cmyk_is_converted_and_told():
    cmyk = Image.fromarray(PHOTO).convert("CMYK")
    for kind in ("JPEG", "TIFF"):
        picture = decoded(saved(cmyk, kind))
        assert picture.pixels.shape == (9, 7, 3)
        assert picture.header.changes == ("CMYK: converted to RGB without a colour profile",)
    np.testing.assert_array_equal(picture.pixels, PHOTO)  # the TIFF is lossless


@pytest.mark.parametrize("kind, options", [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})])
def test_of_several_frames_the_first_is_read_and_told(kind, options):
    first, second = (Image.new("RGB", (4, 3), c) for c in ("red", "blue"))
    picture = decoded(saved(first, kind, save_all=True, append_images=[second], **options))
    np.testing.assert_array_equal(picture.pixels[0, 0], [255, 0, 0])
    assert "several frames or pages: the first one read" in picture.header.changes


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_orientation_is_undone_as_pillow_does(kind, orientation):
    image = Image.fromarray(PHOTO)
    exif = image.getexif()
    exif[0x0112] = orientation
    data = saved(image, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    oracle = ImageOps.exif_transpose(Image.open(io.BytesIO(data)) if kind == "JPEG" else image)
    np.testing.assert_array_equal(decoded(data).pixels, np.asarray(oracle))


def test_a_large_jpeg_decoded_small_is_the_same_picture():
    """Its eighth, shrunk, differs from the whole, shrunk, by no more than its own compression does."""
    waves = np.sin(np.indices((600, 904))[:, :, :, None] * [0.02, 0.031, 0.05]).sum(0) * 60 + 128
    data = saved(Image.fromarray(waves.astype(np.uint8)), "JPEG", quality=90)
    whole, small = files.decode(data, "x"), files.decode(data, "x", shrink_to=24)
    assert small.pixels.shape == (75, 113, 3)
    assert small.header == whole.header
    difference = cover(small.pixels, 16, 24).astype(int) - cover(whole.pixels, 16, 24)
    assert abs(difference).max() <= 2
    np.testing.assert_array_equal(files.decode(data, "x", shrink_to=301).pixels, whole.pixels)


def test_upright_of_all_eight_orientations_is_eight_different_pictures():
    seen = {upright(PHOTO[:7], k).tobytes() for k in range(1, 9)}
    assert len(seen) == 8


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"]
)
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5, 12])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiffs_of_any_depth_and_bands(dtype, bands, planar):
    pixels = (RNG.standard_normal((6, 5, bands)) * 50).astype(dtype)
    moved = pixels if planar == "contig" else np.moveaxis(pixels, -1, 0)
    layout = {} if bands == 1 else {"planarconfig": planar}
    data = tiffed(pixels[..., 0] if bands == 1 else moved, photometric="minisblack", byteorder=">", **layout)
    picture = decoded(data)
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.pixels.dtype == dtype
    assert picture.header.colour == ("grey" if bands == 1 else "bands")


def test_what_a_tiff_says_of_its_channels_is_believed():
    pixels = RNG.integers(0, 65536, (6, 5, 4), dtype=np.uint16)
    assert decoded(tiffed(pixels, photometric="rgb", extrasamples=["unassalpha"])).header.colour == "rgba"
    assert decoded(tiffed(pixels, photometric="rgb", extrasamples=["unspecified"])).header.colour == "bands"
    white = decoded(tiffed(pixels[..., 0], photometric="miniswhite"))
    np.testing.assert_array_equal(white.pixels[..., 0], 65535 - pixels[..., 0])


@pytest.mark.parametrize("packing", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_packed_tiffs_need_no_further_package(packing):
    images = [Image.fromarray(PHOTO), Image.fromarray(PHOTO[..., 0])]
    if packing != "jpeg":
        images += [
            images[1].convert("F"),
            Image.fromarray(PHOTO[..., 0].astype(np.uint16) * 257),
            images[0].quantize(9),
        ]
    for image in images:
        data = saved(image, "TIFF", compression=packing)
        oracle = Image.open(io.BytesIO(data))
        oracle = oracle.convert("RGB") if image.mode == "P" else oracle
        np.testing.assert_array_equal(decoded(data).pixels.squeeze(), np.asarray(oracle))


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_sixteen_bit_colour_tiffs_by_libtiff_keep_every_bit(channels, byteorder):
    """What is done for LZW, which nothing here can write, shown on deflate, which tifffile can."""
    pixels = RNG.integers(0, 65536, (9, 7, channels), dtype=np.uint16)
    extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    data = tiffed(pixels, photometric="rgb", compression="zlib", byteorder=byteorder, **extra)
    picture = tiff._decode_by_pillow(io.BytesIO(data), tiff.header(io.BytesIO(data)))
    np.testing.assert_array_equal(picture.pixels, pixels)


def test_what_only_imagecodecs_can_unpack_is_refused_with_the_way_out():
    data = bytearray(tiffed(np.zeros((8, 8, 5), np.uint16), photometric="minisblack", planarconfig="contig"))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as tif:
        offset = tif.pages.first.tags["Compression"].valueoffset
    data[offset] = 5  # LZW: five bands of 16 bits are more than Pillow can hold
    with pytest.raises(UnreadableImage, match="pip install imagecodecs"):
        files.decode(bytes(data), "bands.tif")


def test_pillow_images_in_memory_are_read_as_their_files_are():
    image = Image.fromarray(PHOTO).convert("CMYK")
    assert raster.of_pillow(image).header.changes == ("CMYK: converted to RGB without a colour profile",)
    np.testing.assert_array_equal(raster.of_pillow(Image.fromarray(PHOTO)).pixels, PHOTO)


BIG = saved(Image.fromarray(RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)), "JPEG")


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "0 bytes"),
        (b"just some text, named .png", "not an image"),
        (b"BM is how this text begins, and no more than that", "not an image"),
        (BIG[: len(BIG) // 2], "truncated"),
        (png16(np.zeros((9, 9, 3), np.uint16))[:60], "truncated"),
        (png16(np.zeros((1, 1, 3), np.uint16), size=(50_000, 50_000)), "89,478,485 pixels"),
        (tiffed(np.zeros((9, 9), np.float32) * np.nan), "81 values are NaN or infinite"),
        (tiffed(np.zeros((4, 9, 9), np.uint8), photometric="minisblack", volumetric=True, tile=(16, 16, 16)), "volume"),
        (b"II*\0\x08\0\0\0", "damaged"),
    ],
)
def test_faults_are_named(data, reason):
    with pytest.raises(UnreadableImage) as caught:
        files.decode(data, "photos/a.jpg")
    assert reason in caught.value.reason
    assert str(caught.value).startswith("photos/a.jpg cannot be read")


SEEDS = [BIG, png16(PHOTO.astype(np.uint16)), saved(Image.fromarray(PHOTO), "WEBP"), tiffed(PHOTO, photometric="rgb")]
SEEDS += [saved(Image.fromarray(PHOTO), "BMP"), saved(Image.fromarray(PHOTO), "GIF")]


@pytest.mark.filterwarnings("ignore")  # decoders warn of what they skip
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_no_damage_ends_in_anything_but_a_picture_or_a_named_fault(seed, data):
    damaged = bytearray(seed[: data.draw(st.integers(len(seed) // 2, len(seed)))])
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=5)):
        damaged[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnreadableImage):
        assert files.decode(bytes(damaged), "x").pixels.ndim == 3
