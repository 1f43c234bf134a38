/* The common part of the drivers of C libraries. A driver measures on one thread, on
 * request.
 *
 *   DRIVER MODEL ROWS NROWS NCOLUMNS CLOCK
 *
 * ROWS is a file of float64 in the machine's byte order, row-major. CLOCK is "wall", or
 * "cpu" for the CPU time of the process. The driver first prints "ready VERSION". Then
 * it answers each line of standard input by one line:
 *
 *   one N      predict N rows in N calls; the answer is the nanoseconds per row
 *   batch N    predict all rows in one call, N times; the nanoseconds per row
 *   out FILE   write the predictions of single calls and then those of a batch to
 *              FILE, as float64; the answer is "ok"
 *
 * On an error the driver prints it to standard error and exits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Defined in the file of each library. start returns the library's version. */
static const char* start(const char* model, const double* rows, long n, long columns);
static double one(long row);
static void batch(double* out);

static void fail(const char* name, const char* reason) {
  fprintf(stderr, "%s: %s\n", name, reason);
  exit(1);
}

static clockid_t clock_id = CLOCK_MONOTONIC;

static double clock_ns(void) {
  struct timespec t;
  clock_gettime(clock_id, &t);
  return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

int main(int argc, char** argv) {
  if (argc != 6) fail(argv[0], "want MODEL ROWS NROWS NCOLUMNS CLOCK");
  if (!strcmp(argv[5], "cpu")) clock_id = CLOCK_PROCESS_CPUTIME_ID;
  long n = atol(argv[3]), columns = atol(argv[4]);
  if (n < 1 || columns < 1) fail(argv[0], "NROWS and NCOLUMNS must be at least 1");
  size_t values = (size_t)n * (size_t)columns;
  double* rows = malloc(values * sizeof *rows);
  double* out = malloc((size_t)n * sizeof *out);
  FILE* f = fopen(argv[2], "rb");
  if (!rows || !out || !f || fread(rows, sizeof *rows, values, f) != values) fail(argv[2], "cannot be read");
  fclose(f);
  printf("ready %s\n", start(argv[1], rows, n, columns));
  fflush(stdout);

  char line[4096], path[4000];
  long times, next = 0;
  volatile double sink = 0;
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "one %ld", &times) == 1) {
      double t = clock_ns();
      for (long i = 0; i < times; i++) {
        sink += one(next);
        if (++next == n) next = 0;
      }
      printf("%.3f\n", (clock_ns() - t) / (double)times);
    } else if (sscanf(line, "batch %ld", &times) == 1) {
      double t = clock_ns();
      for (long i = 0; i < times; i++) batch(out);
      printf("%.3f\n", (clock_ns() - t) / (double)times / (double)n);
    } else if (sscanf(line, "out %3999[^\n]", path) == 1) {
      if (!(f = fopen(path, "wb"))) fail(path, "cannot be written");
      for (long i = 0; i < n; i++) {
        double y = one(i);
        fwrite(&y, sizeof y, 1, f);
      }
      batch(out);
      fwrite(out, sizeof *out, (size_t)n, f);
      if (fclose(f)) fail(path, "cannot be written");
      printf("ok\n");
    } else {
      fail(line, "unknown command");
    }
    fflush(stdout);
  }
  return 0;
}
