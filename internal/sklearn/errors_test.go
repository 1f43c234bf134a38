package sklearn

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/basket-go/basket/internal/filetext"
	"github.com/basket-go/basket/internal/golden"
)

// checkText checks the strings that Read returns, or its error.
func checkText(t *testing.T, file *File, err error) {
	t.Helper()
	if err != nil {
		golden.CheckError(t, err)
	} else if err := errors.Join(filetext.CheckLabel(file.Version), filetext.CheckLabel(file.Estimator), filetext.CheckNames(file.Names)); err != nil {
		t.Errorf("%+v: %v", file, err)
	}
}

// stringArray returns an array of strings of n characters.
func stringArray(n int, items ...string) array {
	a := array{shape: tuple{len(items)}, code: "U" + string(rune('0'+n))}
	for _, item := range items {
		data := make([]byte, 4*n)
		for i, r := range []rune(item) {
			data[4*i], data[4*i+1] = byte(r), byte(r>>8)
		}
		a.data = append(a.data, data...)
	}
	return a
}

// TestRead_quotes puts terminal escapes and much text where errors or results show the
// file's own text.
func TestRead_quotes(t *testing.T) {
	const escape = "\x1b[31m\n\u202e"
	const quoted = `"\x1b[31m\n\u202e"`
	long := strings.Repeat(escape, 1000)
	named := func(name string, step any) pyObject {
		return pyObject{"sklearn.pipeline.Pipeline", nil, attrs{"steps", list{tuple{"s", scaler()}, tuple{name, step}}}}
	}
	nested := any(named(long, escape))
	for range 15 {
		nested = named(long, nested)
	}
	for _, c := range []struct {
		name  string
		model any
		want  string
	}{
		{"a step", named(escape, nil), `step ` + quoted + `: None: want an object`},
		{"a long step", named(long, nil), `\x1b"...: None: want an object`},
		{"steps in steps", nested, `: want an object of scikit-learn`},
		{"a step of a step", pipeline(named(escape, ridge()), ridge()), "Pipeline: Ridge: this transformer is not supported"},
		{"a step's name", pyObject{"sklearn.pipeline.Pipeline", nil, attrs{"steps", list{tuple{"s", scaler()}, tuple{1, ridge()}}}}, "the name of a step is the integer 1"},
		{"a step that is a string", named("a", escape), `step "a": the string ` + quoted},
		{"a transformer", pipeline(columnTransformer(list{tuple{escape, "passthrough", nil}}, attrs{escape, escape}), ridge()),
			`transformer ` + quoted + `: the columns are the string ` + quoted},
		{"a transformer of a target", target(named(escape, ridge())), `transformer_: Pipeline: step ` + quoted + `: Ridge: this transformer`},
		{"a weight", pipeline(with(columnTransformer(list{tuple{escape, "passthrough", nil}}, attrs{escape, list{0}}), "transformer_weights", attrs{escape, escape}), ridge()),
			`transformer ` + quoted + `: the weight is the string ` + quoted},
		{"a number", ridge("intercept_", long), `intercept_ is the string "\x1b[31m\n`},
		{"a global", name("os." + strings.Repeat("\xff\x1b", 100)), `global "os.\xff\x1b`},
		{"a version", ridge("_sklearn_version", escape), `Ridge: _sklearn_version is ` + quoted + `: want at most 256 bytes of printable UTF-8`},
		{"a long version", ridge("_sklearn_version", strings.Repeat("1.", 200)), `1."...: want at most 256 bytes of printable UTF-8`},
		{"a feature", ridge("feature_names_in_", stringArray(9, "price", escape)), `feature_names_in_: name 1 is ` + quoted + `: want UTF-8 without control characters`},
		{"features", ridge("feature_names_in_", stringArray(9, "price", "größe\n\t")), ""},
	} {
		file, err := Read(pickled(c.model), Options{})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %s", c.name, err, c.want)
			continue
		}
		checkText(t, file, err)
	}
}

// TestRead_wideFunction checks that the number of features alone takes no memory.
func TestRead_wideFunction(t *testing.T) {
	f := pyObject{"sklearn.preprocessing._function_transformer.FunctionTransformer", nil, attrs{
		"n_features_in_", 1 << 24, "validate", false, "func", name("numpy.log1p"),
	}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Read(pickled(pipeline(f, ridge("n_features_in_", 1<<24))), Options{})
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("%d bytes of memory", n)
	}
	if want := "FunctionTransformer: more than 262144 operations"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}
