/*
 * The C library's side of the tests: its exp, log, log1p, expm1, expf and logf.
 *
 *	cc -O1 -fno-builtin -o make make.c -lm
 *	./make golden > golden.txt      arguments and results, in hexadecimal bits
 *	./make eval exp < args > results  raw little-endian float64, float32 for expf and logf
 *	./make version                  of the C library
 *
 * Every call goes through a volatile pointer, so that no compiler computes it.
 * golden.txt in this directory was made with Debian 12's glibc 2.36 on a CPU with FMA.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

typedef double (*fn64)(double);
typedef float (*fn32)(float);

static const char *name64[] = {"exp", "log", "log1p", "expm1"};
static const fn64 tab64[] = {exp, log, log1p, expm1};
static const char *name32[] = {"expf", "logf"};
static const fn32 tab32[] = {expf, logf};

static volatile fn64 f64;
static volatile fn32 f32;
static const char *name;

static double from64(uint64_t b) { double x; memcpy(&x, &b, 8); return x; }
static uint64_t bits64(double x) { uint64_t b; memcpy(&b, &x, 8); return b; }
static float from32(uint32_t b) { float x; memcpy(&x, &b, 4); return x; }
static uint32_t bits32(float x) { uint32_t b; memcpy(&b, &x, 4); return b; }

static uint64_t state;

static uint64_t next(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static double uniform(double lo, double hi) { return lo + (hi - lo) * (next() >> 11) * 0x1p-53; }

static void line(double x)
{
	if (f64)
		printf("%s %016llx %016llx\n", name, (unsigned long long)bits64(x), (unsigned long long)bits64(f64(x)));
	else
		printf("%s %08x %08x\n", name, bits32((float)x), bits32(f32((float)x)));
}

static void both(double x) { line(x); line(-x); }

/* x and its neighbours, in the precision of the function. */
static void around(double x)
{
	int i;
	for (i = -2; i <= 2; i++) {
		if (f64)
			both(from64(bits64(x) + (uint64_t)(int64_t)i));
		else
			both(from32(bits32((float)x) + (uint32_t)i));
	}
}

static void specials(void)
{
	static const double edges[] = {
		/* where exp, expf and expm1 overflow, underflow and become subnormal */
		0x1.62e42fefa39efp+9, 0x1.74910d52d3051p+9, 0x1.6232bdd7abcd2p+9,
		0x1.62e42ep+6, 0x1.9fe368p+6, 0x1.9d1d9ep+6, 0x1.5d58ap+6, 88, 512, 1024,
		/* between the branches of log and log1p */
		1, 0.9375, 0x1.109p0, 0.6875, 0x1.6p0, 0x1.66p-1, 0x1.66p0, 0.5, 2, 3,
		0x1.a827ap-2, 0x1.2bec4p-2, 0x1.6a09ep0, 0x1.6a09ep-1, 0x1p-20,
		0x1p53, 0x1p54, 0x1p-29, 0x1p-53, 0x1p-54, 0x1p-55,
		/* of expm1 */
		0x1.62e42p-2, 0x1.62e42fefa39efp-2, 0x1.0a2b2p0, 0x1.0a2b23f3bab73p0, 0x1.3687ap5, 0.25,
		0x1.62e42fefa39efp-1, 0x1.bb9d3beb8c86bp3, 0x1.39e8p5, 0x1.4p-1,
		/* the ends of the formats */
		0x1p-1022, 0x1p-1070, 0x1.fffffffffffffp+1022, 0x1p-126, 0x1p-140, 0x1.fffff0p+126, 10, 100, 1e300, 1e30,
	};
	static const uint64_t exact64[] = {0, 1, 2, 0x000fffffffffffff, 0x7fefffffffffffff, 0x7ff0000000000000,
		0x7ff8000000000000, 0x7ff0000000000001};
	static const uint32_t exact32[] = {0, 1, 2, 0x007fffff, 0x7f7fffff, 0x7f800000, 0x7fc00000, 0x7f800001};
	size_t i;
	for (i = 0; i < 8; i++)
		both(f64 ? from64(exact64[i]) : from32(exact32[i]));
	for (i = 0; i < sizeof edges / sizeof *edges; i++)
		if (f64 || (edges[i] < 0x1p127 && edges[i] > 0x1p-148))
			around(edges[i]);
}

static void golden(void)
{
	int i, n;
	specials();
	n = f64 ? 130 : 110;
	for (i = 0; i < n; i++) {
		if (name[0] == 'e') {
			line(uniform(-20, 20));
			line(uniform(-1, 1));
			line(f64 ? uniform(-746, 710) : uniform(-104, 89));
			line(f64 ? uniform(-746, -707) : uniform(-104, -87));
		} else {
			line(uniform(0, 20));
			line(uniform(-0.5, 0.5) * 0.3 + (strcmp(name, "log1p") ? 1 : 0));
			line(uniform(-1, 2));
			line(uniform(0.6, 1.5));
		}
		line(f64 ? from64(next()) : from32((uint32_t)next()));
		line(f64 ? from64(next() >> 1) : from32((uint32_t)next() >> 1));
	}
}

static int eval(void)
{
	static double d[4096];
	static float s[4096];
	size_t n, i;
	if (f64)
		while ((n = fread(d, 8, 4096, stdin)) > 0) {
			for (i = 0; i < n; i++)
				d[i] = f64(d[i]);
			fwrite(d, 8, n, stdout);
		}
	else
		while ((n = fread(s, 4, 4096, stdin)) > 0) {
			for (i = 0; i < n; i++)
				s[i] = f32(s[i]);
			fwrite(s, 4, n, stdout);
		}
	return 0;
}

/* Makes number i of all functions the current one; 0 after the last. */
static int use(int i)
{
	f64 = 0;
	f32 = 0;
	state = 1;
	if (i < 4) {
		name = name64[i];
		f64 = tab64[i];
	} else if (i < 6) {
		name = name32[i - 4];
		f32 = tab32[i - 4];
	}
	return i < 6;
}

int main(int argc, char **argv)
{
	int i;
	if (argc == 2 && !strcmp(argv[1], "version")) {
#ifdef __GLIBC__
		printf("glibc %s\n", gnu_get_libc_version());
#else
		printf("not glibc\n");
#endif
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "golden")) {
		for (i = 0; use(i); i++)
			golden();
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "eval"))
		for (i = 0; use(i); i++)
			if (!strcmp(argv[2], name))
				return eval();
	fprintf(stderr, "usage: make golden | make eval function | make version\n");
	return 2;
}
