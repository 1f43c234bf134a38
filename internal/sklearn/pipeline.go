package sklearn

import (
	"context"
	"fmt"
	"math"
	"sort"

	"github.com/basket-go/basket/internal/forest"
	"github.com/basket-go/basket/internal/libm"
)

// A Pipeline transforms rows, applies a forest or a linear function, and transforms
// the result. Each supported transformer computes its output columns from single
// input columns, so all nested steps together are one list of operations for each
// column that the model uses. A Pipeline is immutable and safe for concurrent use.
//
// For a row that scikit-learn refuses (NaN where missing values are not supported,
// infinities, numbers beyond float32 for trees) the prediction is NaN.
type Pipeline struct {
	features int
	columns  []column // the model's columns; nil if they are those of the row
	checks   []column // columns that the model does not use but a step checks
	accepts  domain   // the values that the model accepts

	forest    *forest.Forest // if nil, the model is a linear function
	mean      int            // if positive, the forest predicts the mean of so many trees
	coef      []float64
	intercept float64

	target []op // the transformation of the result
}

// A column is a column of the row and the operations on it.
type column struct {
	from int
	ops  []op
}

// A domain is a set of values: numbers of magnitude at most limit, and NaN if missing
// is set.
type domain struct {
	limit   float64
	missing bool
}

// The domains of scikit-learn: utils/validation.py, check_array with
// ensure_all_finite True, "allow-nan" and False. Trees convert the row to float32, so
// numbers that round to a finite float32 are finite.
var (
	finite   = domain{math.MaxFloat64, false}
	noInf    = domain{math.MaxFloat64, true}
	anything = domain{math.Inf(1), true}

	finite32 = domain{math.Nextafter(math.MaxFloat32+0x1p103, 0), false}
	noInf32  = domain{finite32.limit, true}
)

func (d domain) contains(v float64) bool {
	return math.Abs(v) <= d.limit || v != v && d.missing
}

// An op is an operation on a number.
type op struct {
	kind   opKind
	a, b   float64
	table  []float64
	domain domain
}

type opKind int8

const (
	opCheck     opKind = iota // refuse the row unless domain contains the number
	opAdd                     // + a
	opSubtract                // - a
	opMultiply                // * a
	opDivide                  // / a
	opClip                    // to a..b
	opFill                    // replace a, which may be NaN, by b
	opIndicator               // 1 for a, which may be NaN, else 0
	opEncode                  // the index in table, or NaN
	opLog1p
	opExpm1
	opLog
	opExp
	opSqrt
	opSquare
)

// apply returns the result of the operation, and false if it refuses the row.
func (o *op) apply(v float64) (float64, bool) {
	switch o.kind {
	case opCheck:
		return v, o.domain.contains(v)
	case opAdd:
		return v + o.a, true
	case opSubtract:
		return v - o.a, true
	case opMultiply:
		return float64(v * o.a), true
	case opDivide:
		return v / o.a, true
	case opClip:
		if v < o.a {
			return o.a, true
		}
		if v > o.b {
			return o.b, true
		}
		return v, true
	case opFill:
		if o.matches(v) {
			return o.b, true
		}
		return v, true
	case opIndicator:
		if o.matches(v) {
			return 1, true
		}
		return 0, true
	case opEncode:
		if i := sort.SearchFloat64s(o.table, v); i < len(o.table) && o.table[i] == v {
			return float64(i), true
		}
		return math.NaN(), true
	case opLog1p:
		return libm.Log1p(v), true
	case opExpm1:
		return libm.Expm1(v), true
	case opLog:
		return libm.Log(v), true
	case opExp:
		return libm.Exp(v), true
	case opSqrt:
		return math.Sqrt(v), true
	case opSquare:
		return float64(v * v), true
	}
	return v, true
}

// matches reports whether v is a, which may be NaN.
func (o *op) matches(v float64) bool { return v == o.a || v != v && o.a != o.a }

// compute returns the column's value for a row, and false if a check refuses the row.
func (c *column) compute(row []float64) (float64, bool) {
	v, ok := row[c.from], true
	for i := range c.ops {
		if v, ok = c.ops[i].apply(v); !ok {
			return v, false
		}
	}
	return v, true
}

// Features returns the number of columns of a row.
func (p *Pipeline) Features() int { return p.features }

// Outputs returns the number of predictions per row, 1.
func (p *Pipeline) Outputs() int { return 1 }

// Forest returns the trees of the model, or nil if it has none.
func (p *Pipeline) Forest() *forest.Forest { return p.forest }

// From returns the column of the row that column j of the forest is computed from, and
// whether it is that column as it is.
func (p *Pipeline) From(j int) (column int, same bool) {
	if p.columns == nil {
		return j, true
	}
	return p.columns[j].from, len(p.columns[j].ops) == 0
}

// Transform returns the forest's columns of a row, and whether all steps and the model
// accept it.
func (p *Pipeline) Transform(row []float64) ([]float64, bool) {
	if p.columns == nil {
		return row, p.acceptsAll(row)
	}
	dst := make([]float64, len(p.columns))
	return dst, p.transform(dst, row)
}

// Predict sets dst[i] to the prediction for row i, which is
// rows[i*Features():][:Features()]. It panics if the lengths do not agree. It
// allocates only if the model has more than 256 transformed columns.
func (p *Pipeline) Predict(dst, rows []float64) {
	if len(dst)*p.features != len(rows) {
		panic("sklearn: the lengths of dst and rows do not agree")
	}
	if p.columns == nil {
		p.predictRows(dst, rows)
	} else {
		p.predictColumns(dst, rows)
	}
	if p.target == nil {
		return
	}
	for i := range dst {
		v, ok := dst[i], true
		for k := range p.target {
			if v, ok = p.target[k].apply(v); !ok {
				v = math.NaN()
				break
			}
		}
		dst[i] = v
	}
}

// predictRows applies the model to untransformed rows.
func (p *Pipeline) predictRows(dst, rows []float64) {
	p.applyModel(dst, rows)
	if p.accepts == anything {
		return
	}
	for i := range dst {
		if !p.acceptsAll(rows[i*p.features:][:p.features]) {
			dst[i] = math.NaN()
		}
	}
}

func (p *Pipeline) acceptsAll(row []float64) bool {
	for _, v := range row {
		if !p.accepts.contains(v) {
			return false
		}
	}
	return true
}

// predictColumns transforms rows, in blocks that fit on the stack if possible, and
// applies the model to them.
func (p *Pipeline) predictColumns(dst, rows []float64) {
	var few [256]float64
	block := few[:]
	width := len(p.columns)
	if width > len(few) {
		block = make([]float64, width)
	}
	rowsPerBlock := len(block) / width
	for start := 0; start < len(dst); start += rowsPerBlock {
		n := min(rowsPerBlock, len(dst)-start)
		var refused [len(few)]bool
		for i := range n {
			refused[i] = !p.transform(block[i*width:][:width], rows[(start+i)*p.features:][:p.features])
		}
		p.applyModel(dst[start:start+n], block[:n*width])
		for i := range n {
			if refused[i] {
				dst[start+i] = math.NaN()
			}
		}
	}
}

// transform computes the model's columns for a row, and reports whether all steps and
// the model accept it.
func (p *Pipeline) transform(dst, row []float64) bool {
	for j := range p.columns {
		v, ok := p.columns[j].compute(row)
		if !ok {
			return false
		}
		dst[j] = v
	}
	for j := range p.checks {
		if _, ok := p.checks[j].compute(row); !ok {
			return false
		}
	}
	return p.acceptsAll(dst)
}

// applyModel applies the forest or the linear function to transformed rows.
func (p *Pipeline) applyModel(dst, rows []float64) {
	if p.forest != nil {
		p.forest.Predict(dst, rows)
		return
	}
	width := len(p.coef)
	for i := range dst {
		dst[i] = p.intercept + dot(p.coef, rows[i*width:][:width])
	}
}

// Explain sets dst to the contribution of each feature of row to the margin, and
// returns the bias: by TreeSHAP for trees, coefficient times value for linear
// functions. The margin is the prediction that Options.Margin gives. The contribution
// of a feature is the sum over all columns of the model that are computed from it. All
// numbers are NaN for a row that is refused. Errors other than those of ctx mean that
// no row of the model can be explained.
func (p *Pipeline) Explain(ctx context.Context, dst, row []float64) (bias float64, err error) {
	if len(dst) != p.features || len(row) != p.features {
		return 0, fmt.Errorf("dst has length %d and row %d: want %d", len(dst), len(row), p.features)
	}
	transformed, accepted := row, false
	if p.columns == nil {
		accepted = p.acceptsAll(row)
	} else {
		transformed = make([]float64, len(p.columns))
		accepted = p.transform(transformed, row)
	}
	if !accepted {
		for j := range dst {
			dst[j] = math.NaN()
		}
		return math.NaN(), nil
	}
	contributions := make([]float64, len(transformed))
	if p.forest == nil {
		bias = p.intercept
		for j, c := range p.coef {
			contributions[j] = c * transformed[j]
		}
	} else if bias, err = p.forest.Explain(ctx, contributions, transformed); err != nil {
		return 0, err
	}
	if n := float64(p.mean); n > 0 {
		bias /= n
		for j := range contributions {
			contributions[j] /= n
		}
	}
	clear(dst)
	for j, c := range contributions {
		from := j
		if p.columns != nil {
			from = p.columns[j].from
		}
		dst[from] += c
	}
	return bias, nil
}

// dot returns the sum of a[j]*b[j] as if computed with twice the precision: Dot2 of
// Ogita, Rump and Oishi, "Accurate sum and dot product", 2005. scikit-learn's sum is
// that of BLAS, whose order depends on the machine and on the number of rows; the
// exact sum is the closest to all of them.
func dot(a, b []float64) float64 {
	sum, rest := 0.0, 0.0
	for j := range a {
		p := float64(a[j] * b[j])
		s := sum + p
		z := s - sum
		rest += math.FMA(a[j], b[j], -p) + ((sum - (s - z)) + (p - z))
		sum = s
	}
	if v := sum + rest; v == v {
		return v
	}
	return sum // beyond the largest number
}
