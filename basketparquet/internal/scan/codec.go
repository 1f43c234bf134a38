package scan

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"
	"unsafe"

	"github.com/parquet-go/parquet-go/format"
)

// A codec decodes values of PLAIN encoding. BOOLEANs are one byte each, which is
// the form that Column gives them.
type codec[T any] struct {
	size int // bytes of a value; of BYTE_ARRAY, the least

	// decode fills dst from src, which has at least size bytes for each value.
	decode func(dst []T, src []byte) (used int, err error)
}

// fixed returns a codec of values of one size.
func fixed[T any](size int, decode func([]byte) T) codec[T] {
	return codec[T]{size, func(dst []T, src []byte) (int, error) {
		for i := range dst {
			dst[i] = decode(src[i*size : i*size+size])
		}
		return len(dst) * size, nil
	}}
}

// checked is fixed for values that may be invalid.
func checked[T any](size int, decode func([]byte) (T, error)) codec[T] {
	return codec[T]{size, func(dst []T, src []byte) (_ int, err error) {
		for i := range dst {
			if dst[i], err = decode(src[i*size : i*size+size]); err != nil {
				return 0, err
			}
		}
		return len(dst) * size, nil
	}}
}

func int32At(b []byte) int64  { return int64(int32(binary.LittleEndian.Uint32(b))) }
func uint32At(b []byte) int64 { return int64(binary.LittleEndian.Uint32(b)) }
func int64At(b []byte) int64  { return int64(binary.LittleEndian.Uint64(b)) }

func intCodec(e *element) (codec[int64], bool) {
	l := e.kind()
	unsigned := l.kind == logicalInteger && !l.signed
	switch {
	case l.kind != 0 && l.kind != logicalInteger:
	case e.typ == format.Int32 && unsigned:
		return fixed(4, uint32At), true
	case e.typ == format.Int32:
		return fixed(4, int32At), true
	case e.typ == format.Int64 && unsigned:
		return checked(8, func(b []byte) (int64, error) {
			v := int64At(b)
			if v < 0 {
				return 0, fmt.Errorf("the number %d: want at most %d", uint64(v), int64(math.MaxInt64))
			}
			return v, nil
		}), true
	case e.typ == format.Int64:
		return codec[int64]{8, decodeInt64s}, true
	}
	return codec[int64]{}, false
}

// decodeInt64s has no call for each value, because most values of orders are
// INT64.
func decodeInt64s(dst []int64, src []byte) (int, error) {
	for i := range dst {
		dst[i] = int64(binary.LittleEndian.Uint64(src[i*8:]))
	}
	return 8 * len(dst), nil
}

func floatCodec(e *element) (codec[float64], bool) {
	l := e.kind()
	unsigned := l.kind == logicalInteger && !l.signed
	switch {
	case e.typ == format.Float:
		return fixed(4, func(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) }), true
	case e.typ == format.Double:
		return fixed(8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }), true
	case e.typ == format.Boolean:
		return fixed(1, func(b []byte) float64 { return float64(b[0]) }), true
	case l.kind == logicalDecimal:
		return decimalCodec(e, l.scale)
	case l.kind == logicalFloat16 && e.typ == format.FixedLenByteArray && e.length == 2:
		return fixed(2, float16), true
	case l.kind != 0 && l.kind != logicalInteger:
	case e.typ == format.Int32 && unsigned:
		return fixed(4, func(b []byte) float64 { return float64(uint32At(b)) }), true
	case e.typ == format.Int32:
		return fixed(4, func(b []byte) float64 { return float64(int32At(b)) }), true
	case e.typ == format.Int64 && unsigned:
		return fixed(8, func(b []byte) float64 { return float64(uint64(int64At(b))) }), true
	case e.typ == format.Int64:
		return fixed(8, func(b []byte) float64 { return float64(int64At(b)) }), true
	}
	return codec[float64]{}, false
}

func float16(b []byte) float64 {
	h := binary.LittleEndian.Uint16(b)
	exponent, fraction := int(h>>10&31), float64(h&1023)
	v := math.Ldexp(1+fraction/1024, exponent-15)
	switch {
	case exponent == 0:
		v = math.Ldexp(fraction, -24)
	case exponent == 31 && fraction == 0:
		v = math.Inf(1)
	case exponent == 31:
		v = math.NaN()
	}
	if h>>15 != 0 {
		v = -v
	}
	return v
}

// Writers have no decimals of more than 256 bits.
const (
	maxDecimalBytes = 32
	maxDecimalScale = 76
)

func decimalCodec(e *element, scale int32) (codec[float64], bool) {
	if scale < 0 || scale > maxDecimalScale {
		return codec[float64]{}, false
	}
	switch e.typ {
	case format.Int32:
		return fixed(4, func(b []byte) float64 { return decimal(int32At(b), scale) }), true
	case format.Int64:
		return fixed(8, func(b []byte) float64 { return decimal(int64At(b), scale) }), true
	case format.FixedLenByteArray:
		if e.length < 1 || e.length > maxDecimalBytes {
			return codec[float64]{}, false
		}
		return fixed(int(e.length), func(b []byte) float64 { return bigDecimal(b, scale) }), true
	case format.ByteArray:
		return codec[float64]{4, func(dst []float64, src []byte) (int, error) {
			used := 0
			for i := range dst {
				b, err := byteArray(src[used:])
				if err != nil {
					return 0, err
				}
				if len(b) > maxDecimalBytes {
					return 0, fmt.Errorf("a decimal of %d bytes: want at most %d", len(b), maxDecimalBytes)
				}
				dst[i] = bigDecimal(b, scale)
				used += 4 + len(b)
			}
			return used, nil
		}}, true
	}
	return codec[float64]{}, false
}

var powersOfTen = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// decimal returns the float64 nearest to v / 10^scale.
func decimal(v int64, scale int32) float64 {
	// Both operands are exact, so the quotient is rounded once.
	if -1<<53 <= v && v <= 1<<53 && int(scale) < len(powersOfTen) {
		return float64(v) / powersOfTen[scale]
	}
	return parseDecimal(strconv.FormatInt(v, 10), scale)
}

// bigDecimal is decimal for a big-endian two's complement number.
func bigDecimal(b []byte, scale int32) float64 {
	if len(b) <= 8 {
		v := int64(0)
		if len(b) > 0 && b[0]&0x80 != 0 {
			v = -1
		}
		for _, x := range b {
			v = v<<8 | int64(x)
		}
		return decimal(v, scale)
	}
	v := new(big.Int).SetBytes(b)
	if b[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	if v.IsInt64() {
		return decimal(v.Int64(), scale)
	}
	return parseDecimal(v.String(), scale)
}

func parseDecimal(digits string, scale int32) float64 {
	v, _ := strconv.ParseFloat(digits+"e-"+strconv.Itoa(int(scale)), 64) // cannot fail on digits
	return v
}

func timeCodec(e *element) (codec[time.Time], bool) {
	l := e.kind()
	switch {
	case e.typ == format.Int96:
		return checked(12, int96), true
	case e.typ == format.Int32 && l.kind == logicalDate:
		return fixed(4, func(b []byte) time.Time { return time.Unix(86400*int32At(b), 0).UTC() }), true
	case e.typ != format.Int64 || l.kind != logicalTimestamp:
	case l.unit == 1:
		return fixed(8, func(b []byte) time.Time { return time.UnixMilli(int64At(b)).UTC() }), true
	case l.unit == 2:
		return fixed(8, func(b []byte) time.Time { return time.UnixMicro(int64At(b)).UTC() }), true
	case l.unit == 3:
		return fixed(8, func(b []byte) time.Time { return time.Unix(0, int64At(b)).UTC() }), true
	}
	return codec[time.Time]{}, false
}

// int96 decodes a time of Impala or old Spark: the nanoseconds of the day, then
// the Julian day, which is 2440588 for 1970-01-01.
func int96(b []byte) (time.Time, error) {
	ns := int64At(b)
	if ns < 0 || ns >= int64(24*time.Hour) {
		return time.Time{}, fmt.Errorf("an INT96 time with %d nanoseconds of the day: want less than a day", ns)
	}
	return time.Unix(86400*(int32At(b[8:])-2440588), ns).UTC(), nil
}

func stringCodec(e *element) (codec[string], bool) {
	l := e.kind()
	if e.typ != format.ByteArray || l.kind != 0 && l.kind != logicalString && l.kind != logicalEnum {
		return codec[string]{}, false
	}
	return codec[string]{4, decodeStrings}, true
}

// decodeStrings returns strings that are src's memory.
func decodeStrings(dst []string, src []byte) (int, error) {
	used := 0
	for i := range dst {
		b, err := byteArray(src[used:])
		if err != nil {
			return 0, err
		}
		dst[i] = unsafe.String(unsafe.SliceData(b), len(b))
		used += 4 + len(b)
	}
	return used, nil
}

// byteArray returns the first BYTE_ARRAY of src.
func byteArray(src []byte) ([]byte, error) {
	if len(src) < 4 {
		return nil, fmt.Errorf("%d bytes of a length: want 4", len(src))
	}
	n := binary.LittleEndian.Uint32(src)
	if uint64(n) > uint64(len(src)-4) {
		return nil, fmt.Errorf("a value of %d bytes: want at most %d, the rest of the page", n, len(src)-4)
	}
	return src[4 : 4+n], nil
}
