package xgboost

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A document is what a file says, before anything but its form is checked.
type document struct {
	version string
	release [3]int // what version says, or what is newer than all if it is empty

	objective string
	booster   string
	names     words
	best      string // the attribute best_iteration; empty if there is none

	baseScore                  string
	marginBase                 bool // baseScore is a margin
	features, classes, targets int

	trees      []*tree
	numTrees   int
	parallel   int       // trees a round and output
	group      []int32   // tree_info: each tree's output
	rounds     []int32   // iteration_indptr; nil if the file has none
	treeWeight []float32 // weight_drop, of dart

	weights []float32 // of gblinear
}

// A source is a document's bytes, read value by value. Each method reads one
// value; each bounds what it allocates by the bytes that are left.
type source interface {
	// object calls each for every key, and each must read the key's value. A
	// key that comes twice is an error.
	object(each func(key string) error) error

	// array calls each for every element, with its number, and each must read
	// it. n is about how many there are, and no more than there are bytes left.
	array(each func(i, n int) error) error

	integer() (int64, error)
	float() (float32, error)
	flag() (bool, error) // true, false, 0 or 1
	text() (string, error)
	skip() error // whatever it is

	// end checks that nothing is left.
	end() error
}

// decode reads a whole document. The keys are those of LearnerIO::SaveModel.
func decode(s source) (*document, error) {
	d := &document{release: [3]int{math.MaxInt}}
	learner := false
	err := s.object(func(key string) error {
		switch key {
		case "version":
			return d.readVersion(s)
		case "learner":
			learner = true
			return d.learner(s)
		}
		return s.skip()
	})
	if err != nil {
		return nil, err
	}
	if !learner {
		return nil, errors.New("learner is missing")
	}
	return d, s.end()
}

// readVersion reads [3, 2, 0].
func (d *document) readVersion(s source) error {
	parts, err := list(s, int32s(s))
	if err != nil {
		return err
	}
	if len(parts) != 3 || parts[0] < 1 || parts[0] > 3 {
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
	need := required{"learner_model_param", "objective", "gradient_booster"}
	err := s.object(func(key string) (err error) {
		need.found(key)
		switch key {
		case "learner_model_param":
			return d.modelParam(s)
		case "objective":
			need := required{"name"}
			err := s.object(func(key string) (err error) {
				need.found(key)
				if key == "name" {
					d.objective, err = s.text()
					return err
				}
				return s.skip()
			})
			return need.check(err)
		case "gradient_booster":
			return d.gradientBooster(s)
		case "feature_names":
			return s.array(func(int, int) error {
				name, err := s.text()
				d.names.add(name)
				return err
			})
		case "attributes":
			return s.object(func(key string) (err error) {
				if key == "best_iteration" {
					d.best, err = s.text()
					return err
				}
				return s.skip()
			})
		}
		return s.skip()
	})
	d.objective = strings.Clone(d.objective)
	return need.check(err)
}

func (d *document) modelParam(s source) error {
	need := required{"base_score", "num_class", "num_feature"}
	err := s.object(func(key string) (err error) {
		need.found(key)
		switch key {
		case "base_score":
			d.baseScore, err = s.text()
		case "num_class":
			d.classes, err = count(s)
		case "num_feature":
			d.features, err = count(s)
		case "num_target":
			d.targets, err = count(s)
		default:
			err = s.skip()
		}
		return err
	})
	return need.check(err)
}

// gradientBooster reads a booster. Up to 3.3 the trees of dart are those of a
// gbtree inside of it; since 3.4 dart is a gbtree whose model has weights.
func (d *document) gradientBooster(s source) error {
	inner := ""
	model := false
	err := s.object(func(key string) (err error) {
		switch key {
		case "name":
			d.booster, err = s.text()
		case "weight_drop":
			d.treeWeight, err = list(s, s.float)
		case "model":
			if model {
				return errors.New("a second model")
			}
			model = true
			err = d.model(s)
		case "gbtree":
			err = s.object(func(key string) (err error) {
				switch key {
				case "name":
					inner, err = s.text()
				case "model":
					if model {
						return errors.New("a second model")
					}
					model = true
					err = d.model(s)
				default:
					err = s.skip()
				}
				return err
			})
		default:
			err = s.skip()
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case d.booster == "":
		return errors.New("name is missing")
	case !model:
		return errors.New("model is missing")
	case d.booster == "dart" && inner == "":
		return errors.New("dart without a gbtree inside")
	case d.booster == "dart" && inner != "gbtree":
		return fmt.Errorf("dart with %s inside: want gbtree", clip(inner))
	case d.booster != "dart" && inner != "":
		return fmt.Errorf("%s with %s inside: want it in dart only", clip(d.booster), clip(inner))
	}
	return nil
}

// model reads the model of gbtree, or that of gblinear, which has only weights.
func (d *document) model(s source) error {
	return s.object(func(key string) (err error) {
		switch key {
		case "trees":
			err = s.array(func(int, int) error {
				t := new(tree)
				d.trees = append(d.trees, t)
				return t.read(s)
			})
		case "tree_info":
			d.group, err = list(s, int32s(s))
		case "iteration_indptr":
			if d.rounds, err = list(s, int32s(s)); err == nil && d.rounds == nil {
				err = errors.New("empty")
			}
		case "weight_drop":
			d.treeWeight, err = list(s, s.float)
		case "gbtree_model_param":
			need := required{"num_trees"}
			err = s.object(func(key string) (err error) {
				need.found(key)
				switch key {
				case "num_trees":
					d.numTrees, err = count(s)
				case "num_parallel_tree":
					d.parallel, err = count(s)
				default:
					err = s.skip()
				}
				return err
			})
			err = need.check(err)
		case "weights":
			d.weights, err = list(s, s.float)
		default:
			err = s.skip()
		}
		return err
	})
}

// count reads a whole number that is written as a string.
func count(s source) (int, error) {
	word, err := s.text()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(word, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s: want a whole number from 0 to 2147483647", clip(word))
	}
	return int(n), nil
}

// words is a list of strings that takes little more room than its text, though
// half the file may be empty names, and that does not keep the file in memory.
type words struct {
	text []byte
	ends []int32 // in text
}

func (w *words) add(s string) {
	w.text = append(w.text, s...)
	w.ends = append(w.ends, int32(len(w.text)))
}

func (w *words) strings() []string {
	all := make([]string, len(w.ends))
	text, start := string(w.text), int32(0)
	for i, end := range w.ends {
		all[i] = text[start:end]
		start = end
	}
	return all
}

// list reads an array whose elements read reads.
func list[T any](s source, read func() (T, error)) ([]T, error) {
	var values []T
	err := s.array(func(_, n int) error {
		v, err := read()
		if err != nil {
			return err
		}
		if values == nil {
			values = make([]T, 0, n)
		}
		values = append(values, v)
		return nil
	})
	return values, err
}

// int32s returns what reads an integer of 32 bits from s.
func int32s(s source) func() (int32, error) {
	return func() (int32, error) {
		v, err := s.integer()
		if err == nil && v != int64(int32(v)) {
			err = fmt.Errorf("%d: want an integer of 32 bits", v)
		}
		return int32(v), err
	}
}

// required is the keys that an object must have and that were not found yet.
type required []string

func (r *required) found(key string) {
	for i, k := range *r {
		if k == key {
			*r = append((*r)[:i:i], (*r)[i+1:]...)
			return
		}
	}
}

// check returns err, or if there is none, tells of keys that are missing.
func (r required) check(err error) error {
	if err == nil && len(r) > 0 {
		err = fmt.Errorf("%s: missing", r[0])
	}
	return err
}

// A fault is an error and the place in the document where it was found.
type fault struct {
	path string // "learner.gradient_booster.model.trees[17].id"
	err  error
}

func (f *fault) Error() string { return f.path + ": " + f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// within tells that err was found in the value of a key, or in element "[i]".
func within(step string, err error) error {
	f, ok := errors.AsType[*fault](err)
	if !ok {
		return &fault{step, err}
	}
	if !strings.HasPrefix(f.path, "[") {
		step += "."
	}
	f.path = step + f.path
	return f
}

// maxDepth bounds how deep values lie in one another.
const maxDepth = 64

// A keySet is the keys of an object so far.
type keySet struct {
	few  []string
	many map[string]bool // once there are more than a few
}

// add adds key and reports whether it is new.
func (k *keySet) add(key string) bool {
	if k.many != nil {
		if k.many[key] {
			return false
		}
		k.many[key] = true
		return true
	}
	for _, other := range k.few {
		if other == key {
			return false
		}
	}
	k.few = append(k.few, key)
	if len(k.few) == 32 {
		k.many = make(map[string]bool, 2*len(k.few))
		for _, other := range k.few {
			k.many[other] = true
		}
	}
	return true
}
