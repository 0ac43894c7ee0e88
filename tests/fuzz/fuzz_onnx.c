/* fuzz_onnx.c - any bytes as an ONNX file, as far as our own reader looks at it. What it would hand
 * to ONNX Runtime without ZipMaps is read again: it must be as sound, and hold none.
 */
#include "base/check.h"
#include "runtime/onnx_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str bytes = {(const char *)data, size};
    struct onnx_file file, again;
    struct err err = {0};
    struct buf unzipped;
    onnx_recognise(data, size);
    if (onnx_file_read(bytes, &file, &err) || !file.has_zipmap)
        return 0;
    enum err_code rc = onnx_file_unzip(bytes, &file, &unzipped, &err);
    assert(!rc);
    rc = onnx_file_read(buf_view(&unzipped), &again, &err);
    assert(!rc && again.output_count == file.output_count && again.ir_version == file.ir_version);
    buf_done(&unzipped);
    return 0;
}
