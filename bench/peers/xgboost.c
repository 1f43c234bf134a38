/* XGBoost through its C interface, with in-place prediction. Rows are converted to
 * float32 before the measurement. Single rows are copied to a buffer, so that its array
 * interface is formatted only once. */
#include <stdint.h>

#include "driver.h"

int XGBoosterCreate(void* const*, uint64_t, void**);
int XGBoosterLoadModel(void*, const char*);
int XGBoosterSetParam(void*, const char*, const char*);
int XGBoosterPredictFromDense(void*, const char*, const char*, void*, const uint64_t**, uint64_t*, const float**);
void XGBoostVersion(int*, int*, int*);
const char* XGBGetLastError(void);

static const char config[] =
    "{\"type\": 0, \"training\": false, \"iteration_begin\": 0, \"iteration_end\": 0, "
    "\"strict_shape\": false, \"cache_id\": 0, \"missing\": NaN}";

static void* booster;
static float *x, *row_buffer;
static long count, width;
static char all[256], single[256]; /* array interfaces, in JSON */

static void check(int status) {
  if (status) fail("xgboost", XGBGetLastError());
}

static void format_array(char* text, size_t size, const float* rows, long n) {
  snprintf(text, size, "{\"data\": [%llu, true], \"shape\": [%ld, %ld], \"typestr\": \"<f4\", \"version\": 3}",
           (unsigned long long)(uintptr_t)rows, n, width);
}

static const char* start(const char* model, const double* rows, long n, long columns) {
  static char version[64];
  int major, minor, patch;
  count = n, width = columns;
  x = malloc((size_t)(n * columns) * sizeof *x);
  row_buffer = malloc((size_t)columns * sizeof *row_buffer);
  if (!x || !row_buffer) fail("xgboost", "out of memory");
  for (long i = 0; i < n * columns; i++) x[i] = (float)rows[i];
  format_array(all, sizeof all, x, n);
  format_array(single, sizeof single, row_buffer, 1);
  check(XGBoosterCreate(NULL, 0, &booster));
  check(XGBoosterSetParam(booster, "nthread", "1"));
  check(XGBoosterLoadModel(booster, model));
  check(XGBoosterSetParam(booster, "nthread", "1"));
  XGBoostVersion(&major, &minor, &patch);
  snprintf(version, sizeof version, "%d.%d.%d", major, minor, patch);
  return version;
}

static const float* predict(const char* rows) {
  const uint64_t* shape;
  uint64_t dimensions;
  const float* y;
  check(XGBoosterPredictFromDense(booster, rows, config, NULL, &shape, &dimensions, &y));
  return y;
}

static double one(long row) {
  memcpy(row_buffer, x + row * width, (size_t)width * sizeof *row_buffer);
  return predict(single)[0];
}

static void batch(double* out) {
  const float* y = predict(all);
  for (long i = 0; i < count; i++) out[i] = y[i];
}
