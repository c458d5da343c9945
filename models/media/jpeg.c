/* JPEG, by libjpeg-turbo's TurboJPEG. A warning of the library, such as about missing data, counts as damage.
 * A progressive file may have 500 scans, so that few bytes cannot ask for much work. */
#include <stdbool.h>
#include <turbojpeg.h>

#include "models/media/image.h"

enum status image_jpeg(const uint8_t *bytes, size_t n, size_t max_pixels, struct image *out,
                       struct error *err)
{
    /* a file that ends at once leaves them as they are */
    int width = 0, height = 0, sampling = 0, colours = 0;
    tjhandle handle = tjInitDecompress();
    if (!handle) return error_set(err, STATUS_NO_MEMORY, "no memory");
    enum status status = STATUS_OK;
    bool is_read = !tjDecompressHeader3(handle, bytes, n, &width, &height, &sampling, &colours) &&
                   width > 0 && height > 0;
    if (is_read && (colours == TJCS_CMYK || colours == TJCS_YCCK))
        status = error_set(err, STATUS_BAD_VALUE,
                           "its colours are those of print (CMYK), expected RGB or grey");
    else if (is_read) {
        status = image_reserve(out, (size_t)width, (size_t)height, 1, max_pixels, err);
        is_read = status != STATUS_OK ||
                  !tjDecompress2(handle, bytes, n, out->pixels, width, 0, height, TJPF_RGBA,
                                 TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS | TJFLAG_STOPONWARNING);
    }
    if (!is_read)
        status = error_set(err, STATUS_BAD_VALUE, "it is damaged or cut short (%s)",
                           tjGetErrorStr2(handle));
    tjDestroy(handle);
    return status;
}
