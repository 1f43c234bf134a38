package xgboost

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/basket-go/basket/internal/filetext"
)

// A document is the content of a file. Only its syntax has been checked.
type document struct {
	version string
	release [3]int // version as numbers; newer than any if version is empty

	objective string
	booster   string
	names     stringList
	best      string // the attribute best_iteration; empty if there is none

	baseScore                  string
	marginBase                 bool // baseScore is a margin
	features, classes, targets int

	trees      []*tree
	numTrees   int
	parallel   int       // trees per round and output
	group      []int32   // tree_info: each tree's output
	rounds     []int32   // iteration_indptr; nil if the file has none
	treeWeight []float32 // weight_drop, of dart

	weights []float32 // of gblinear
}

// A source decodes a file value by value. Each method decodes one value, and
// bounds what it allocates by the size of the rest of the file.
type source interface {
	// object calls each for every key, and each must decode the key's value. A
	// duplicate key is an error.
	object(each func(key string) error) error

	// array calls each for every element, with its index, and each must decode
	// it. n estimates the number of elements; it is bounded by the rest of the file.
	array(each func(i, n int) error) error

	integer() (int64, error)
	float() (float32, error)
	flag() (bool, error) // true, false, 0 or 1
	text() (string, error)
	skip() error // a value of any type

	// end checks that the file ends.
	end() error
}

// A field is a key of an object that is decoded. Into is where its value goes: a
// *[]int32, *[]float32, *[]bool or *string, an *int for a number written as a
// string, or a func() error that decodes the value.
type field struct {
	key  string
	into any
	need presence
}

type presence bool

const (
	required presence = true
	optional presence = false
)

// readObject decodes an object with these fields and skips all others.
func readObject(s source, fields ...field) error {
	found := 0 // bit i: fields[i]
	err := s.object(func(key string) error {
		for i := range fields {
			if fields[i].key == key {
				found |= 1 << i
				return within(key, fields[i].read(s))
			}
		}
		if err := s.skip(); err != nil {
			return within(filetext.Quote(key), err)
		}
		return nil
	})
	for i := range fields {
		if err == nil && bool(fields[i].need) && found>>i&1 == 0 {
			err = fmt.Errorf("%s is missing", fields[i].key)
		}
	}
	return err
}

func (f *field) read(s source) (err error) {
	switch into := f.into.(type) {
	case *[]int32:
		*into, err = list(s, int32s(s))
	case *[]float32:
		*into, err = list(s, s.float)
	case *[]bool:
		*into, err = list(s, s.flag)
	case *string:
		*into, err = s.text()
	case *int:
		*into, err = count(s)
	case func() error:
		err = into()
	}
	return err
}

// decode reads a whole document. The keys are those of LearnerIO::SaveModel.
func decode(s source) (*document, error) {
	d := &document{release: [3]int{math.MaxInt}}
	err := readObject(s,
		field{"version", func() error { return d.readVersion(s) }, optional},
		field{"learner", func() error { return d.learner(s) }, required},
	)
	if err != nil {
		return nil, err
	}
	return d, s.end()
}

// readVersion reads [3, 2, 0].
func (d *document) readVersion(s source) error {
	parts, err := list(s, int32s(s))
	if err != nil {
		return err
	}
	switch {
	case len(parts) != 3:
		return fmt.Errorf("%d numbers: want 3", len(parts))
	case parts[0] < 1 || parts[0] > 3:
		return fmt.Errorf("%v: want one from 1.0.0 to 3.x", parts)
	}
	d.version = fmt.Sprintf("%d.%d.%d", parts[0], parts[1], parts[2])
	d.release = [3]int{int(parts[0]), int(parts[1]), int(parts[2])}
	return nil
}

// before reports whether a version older than that wrote d.
func (d *document) before(major, minor, patch int) bool {
	return slices.Compare(d.release[:], []int{major, minor, patch}) < 0
}

func (d *document) learner(s source) error {
	return readObject(s,
		field{"learner_model_param", func() error {
			return readObject(s,
				field{"base_score", &d.baseScore, required},
				field{"num_class", &d.classes, required},
				field{"num_feature", &d.features, required},
				field{"num_target", &d.targets, optional},
			)
		}, required},
		field{"objective", func() error { return readObject(s, field{"name", &d.objective, required}) }, required},
		field{"gradient_booster", func() error { return d.gradientBooster(s) }, required},
		field{"feature_names", func() error {
			return s.array(func(i, _ int) error {
				name, err := s.text()
				d.names.add(name)
				return withinElement(i, err)
			})
		}, optional},
		field{"attributes", func() error { return readObject(s, field{"best_iteration", &d.best, optional}) }, optional},
	)
}

// gradientBooster reads a booster. Up to 3.3 the trees of dart are those of a
// gbtree inside of it; since 3.4 dart is a gbtree whose model has weights.
func (d *document) gradientBooster(s source) error {
	inner, models := "", 0
	model := func() error {
		if models++; models > 1 {
			return errors.New("a second model")
		}
		return d.model(s)
	}
	err := readObject(s,
		field{"name", &d.booster, required},
		field{"weight_drop", &d.treeWeight, optional},
		field{"model", model, optional},
		field{"gbtree", func() error {
			return readObject(s, field{"name", &inner, optional}, field{"model", model, optional})
		}, optional},
	)
	switch {
	case err != nil:
		return err
	case models == 0:
		return errors.New("model is missing")
	case d.booster == "dart" && inner == "":
		return errors.New("dart without a gbtree inside")
	case d.booster == "dart" && inner != "gbtree":
		return fmt.Errorf("dart with %s inside: want gbtree", filetext.Quote(inner))
	case d.booster != "dart" && inner != "":
		return fmt.Errorf("%s with %s inside: only dart has a booster inside", filetext.Quote(d.booster), filetext.Quote(inner))
	}
	return nil
}

// model reads the model of gbtree, or that of gblinear, which has only weights.
func (d *document) model(s source) error {
	return readObject(s,
		field{"trees", func() error {
			return s.array(func(i, _ int) error {
				t := new(tree)
				d.trees = append(d.trees, t)
				return withinElement(i, t.read(s))
			})
		}, optional},
		field{"tree_info", &d.group, optional},
		field{"iteration_indptr", func() (err error) {
			if d.rounds, err = list(s, int32s(s)); err == nil && d.rounds == nil {
				err = errors.New("empty")
			}
			return err
		}, optional},
		field{"weight_drop", &d.treeWeight, optional},
		field{"gbtree_model_param", func() error {
			return readObject(s,
				field{"num_trees", &d.numTrees, required},
				field{"num_parallel_tree", &d.parallel, optional},
			)
		}, optional},
		field{"weights", &d.weights, optional},
	)
}

// count reads a whole number that is written as a string.
func count(s source) (int, error) {
	word, err := s.text()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(word, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s: want a whole number from 0 to 2147483647", filetext.Quote(word))
	}
	return int(n), nil
}

// A stringList is a list of strings in little more memory than their text, because
// half of a file may be empty names. It does not keep the file in memory.
type stringList struct {
	text []byte
	ends []int32 // in text
}

func (l *stringList) add(s string) {
	l.text = append(l.text, s...)
	l.ends = append(l.ends, int32(len(l.text)))
}

func (l *stringList) strings() []string {
	all := make([]string, len(l.ends))
	text, start := string(l.text), int32(0)
	for i, end := range l.ends {
		all[i] = text[start:end]
		start = end
	}
	return all
}

// list decodes an array whose elements read decodes.
func list[T any](s source, read func() (T, error)) ([]T, error) {
	var values []T
	err := s.array(func(i, n int) error {
		v, err := read()
		if err != nil {
			return withinElement(i, err)
		}
		if values == nil {
			values = make([]T, 0, n)
		}
		values = append(values, v)
		return nil
	})
	return values, err
}

// int32s returns a function that decodes an integer of 32 bits.
func int32s(s source) func() (int32, error) {
	return func() (int32, error) {
		v, err := s.integer()
		if err == nil && v != int64(int32(v)) {
			err = fmt.Errorf("%d: want an integer of 32 bits", v)
		}
		return int32(v), err
	}
}

// A located error has the place in the document where it occurred.
type located struct {
	path string // "learner.gradient_booster.model.trees[17].id"
	err  error
}

func (l *located) Error() string { return l.path + ": " + l.err.Error() }

// within puts step, a key or an index in brackets, in front of the place of err.
func within(step string, err error) error {
	if err == nil {
		return nil
	}
	l, ok := errors.AsType[*located](err)
	if !ok {
		return &located{step, err}
	}
	if !strings.HasPrefix(l.path, "[") {
		step += "."
	}
	l.path = step + l.path
	return l
}

func withinElement(i int, err error) error {
	if err == nil {
		return nil
	}
	return within("["+strconv.Itoa(i)+"]", err)
}

// maxDepth bounds the nesting depth of values.
const maxDepth = 64

// A keySet is the keys of an object so far.
type keySet struct {
	few  []string
	many map[string]bool // replaces few if there are more than a few keys
}

// add adds key and reports whether it is new.
func (k *keySet) add(key string) bool {
	if k.many == nil {
		if slices.Contains(k.few, key) {
			return false
		}
		if k.few = append(k.few, key); len(k.few) < 32 {
			return true
		}
		k.many = make(map[string]bool, 2*len(k.few))
		for _, other := range k.few {
			k.many[other] = true
		}
		return true
	}
	n := len(k.many)
	k.many[key] = true
	return len(k.many) > n
}
