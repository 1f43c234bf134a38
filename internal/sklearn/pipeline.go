package sklearn

import (
	"math"
	"sort"

	"github.com/basket-go/basket/internal/forest"
	"github.com/basket-go/basket/internal/libm"
)

// A Pipeline is what is done to a row, then a forest or a linear function, then
// what is done to its answer. All steps that are read here look at one column at a
// time, so whatever their number and nesting they amount to a list of operations
// for each column that the model sees. It is immutable and safe for concurrent
// use.
//
// Where scikit-learn refuses a row (NaN to a model that knows no missing values,
// infinities, for trees numbers beyond float32) the prediction is NaN.
type Pipeline struct {
	features int
	columns  []column // what the model sees; nil if it sees the row as it is
	checks   []column // what it does not see, but a step wants to be finite
	takes    domain   // what the model takes

	forest    *forest.Forest // if nil, the model is a linear function
	mean      int            // if positive, the model is the mean of so many trees
	coef      []float64
	intercept float64

	target []op // what is done to the model's answer
}

// A column is one column of a row and what is done to it.
type column struct {
	from int
	ops  []op
}

// A domain is the values that something takes: numbers up to limit, either sign,
// and NaN if missing.
type domain struct {
	limit   float64
	missing bool
}

// The domains that scikit-learn knows: utils/validation.py, check_array with
// ensure_all_finite True, "allow-nan" and False. Trees see the row as float32, in
// which anything up to half a step beyond its largest is finite.
var (
	finite   = domain{math.MaxFloat64, false}
	noInf    = domain{math.MaxFloat64, true}
	anything = domain{math.Inf(1), true}

	finite32 = domain{math.Nextafter(math.MaxFloat32+0x1p103, 0), false}
	noInf32  = domain{finite32.limit, true}
)

func (d domain) has(v float64) bool {
	return math.Abs(v) <= d.limit || v != v && d.missing
}

// An op is one operation on a number.
type op struct {
	kind  opKind
	a, b  float64
	table []float64
	takes domain
}

type opKind int8

const (
	opCheck     opKind = iota // refuse the row if takes does not have it
	opAdd                     // + a
	opSubtract                // - a
	opMultiply                // * a
	opDivide                  // / a
	opClip                    // to a..b
	opFill                    // b if it is a; a may be NaN
	opIndicator               // 1 if it is a, else 0; a may be NaN
	opEncode                  // its place in table, NaN if it is not there
	opLog1p
	opExpm1
	opLog
	opExp
	opSqrt
	opSquare
)

// apply returns the operation's result, and false if the row is refused.
func (o *op) apply(v float64) (float64, bool) {
	switch o.kind {
	case opCheck:
		return v, o.takes.has(v)
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
		if o.is(v) {
			return o.b, true
		}
		return v, true
	case opIndicator:
		if o.is(v) {
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

// is reports whether v is what o looks for.
func (o *op) is(v float64) bool { return v == o.a || v != v && o.a != o.a }

// of computes the column of a row.
func (c *column) of(row []float64) (float64, bool) {
	v, ok := row[c.from], true
	for i := range c.ops {
		if v, ok = c.ops[i].apply(v); !ok {
			return v, false
		}
	}
	return v, true
}

// Features is the number of columns of a row.
func (p *Pipeline) Features() int { return p.features }

// Outputs is the number of predictions that a row gives.
func (p *Pipeline) Outputs() int { return 1 }

// Predict sets dst[i] to the prediction for row i, which is
// rows[i*Features():][:Features()]. Both lengths must fit; it panics if they do
// not. It allocates nothing unless the model sees more than 256 columns that
// are not those of the row.
func (p *Pipeline) Predict(dst, rows []float64) {
	p.answer(dst, rows, prediction)
	p.finish(dst)
}

// Link sets dst to the predictions that margins stand for: Predict is Margin and
// then Link, but for rows that are refused. It uses margins as scratch.
func (p *Pipeline) Link(dst, margins []float64) {
	if p.forest != nil && p.mean == 0 {
		p.forest.Finish(dst, margins)
	} else {
		copy(dst, margins)
	}
	p.finish(dst)
}

// Forest is the trees of the model, or nil if it has none.
func (p *Pipeline) Forest() *forest.Forest { return p.forest }

// finish does to the model's answers what is done to them.
func (p *Pipeline) finish(dst []float64) {
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

// Margin sets dst[i] to the margin of row i: the model's answer before the link
// of its loss, and before what is done to it. The margin of a random forest is
// the mean of its trees, as its prediction is.
func (p *Pipeline) Margin(dst, rows []float64) {
	p.answer(dst, rows, margin)
}

// What a model answers.
type what int8

const (
	prediction what = iota
	margin
)

func (p *Pipeline) answer(dst, rows []float64, w what) {
	if len(dst)*p.features != len(rows) {
		panic("sklearn: lengths of dst and rows do not fit")
	}
	if p.columns == nil {
		p.direct(dst, rows, w)
	} else {
		p.through(dst, rows, w)
	}
}

// direct predicts for a model that sees the rows as they are.
func (p *Pipeline) direct(dst, rows []float64, w what) {
	p.model(dst, rows, p.features, w)
	if p.takes == anything {
		return
	}
	for i := range dst {
		for _, v := range rows[i*p.features:][:p.features] {
			if !p.takes.has(v) {
				dst[i] = math.NaN()
				break
			}
		}
	}
}

// through computes what the model sees, as many rows at a time as there is room
// for on the stack, and predicts from that.
func (p *Pipeline) through(dst, rows []float64, w what) {
	var few [256]float64
	seen := few[:]
	width := len(p.columns)
	if width > len(few) {
		seen = make([]float64, width)
	}
	block := len(seen) / width
	for start := 0; start < len(dst); start += block {
		n := min(block, len(dst)-start)
		var refused [len(few)]bool
		for i := range n {
			row := rows[(start+i)*p.features:][:p.features]
			refused[i] = !p.see(seen[i*width:][:width], row)
		}
		p.model(dst[start:start+n], seen[:n*width], width, w)
		for i := range n {
			if refused[i] {
				dst[start+i] = math.NaN()
			}
		}
	}
}

// see computes what the model sees of a row, and reports whether all steps and
// the model take it.
func (p *Pipeline) see(dst, row []float64) bool {
	all := true
	for j := range p.columns {
		v, ok := p.columns[j].of(row)
		dst[j] = v
		all = all && ok && p.takes.has(v)
	}
	for j := range p.checks {
		_, ok := p.checks[j].of(row)
		all = all && ok
	}
	return all
}

// model predicts from rows of width columns that it takes.
func (p *Pipeline) model(dst, rows []float64, width int, w what) {
	switch {
	case p.forest != nil && (w == prediction || p.mean > 0):
		p.forest.Predict(dst, rows)
		return
	case p.forest != nil:
		p.forest.Margin(dst, rows)
		return
	}
	for i := range dst {
		dst[i] = p.intercept + dot(p.coef, rows[i*width:][:width])
	}
}

// dot returns the sum of a[j]*b[j] as if computed with twice the digits: Dot2 of
// Ogita, Rump and Oishi, "Accurate sum and dot product", 2005. scikit-learn's
// own sum is BLAS's, in an order that depends on the machine and on the number of
// rows; the best answer is the one closest to them all.
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
