package lightgbm

import (
	"errors"
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
	} else if err := errors.Join(filetext.CheckLabel(file.Version), filetext.CheckLabel(file.Objective), filetext.CheckNames(file.Names)); err != nil {
		t.Errorf("%+v: %v", file, err)
	}
}

// TestRead_quotes puts terminal escapes, invalid UTF-8 and much text where errors
// or results show the file's own text.
func TestRead_quotes(t *testing.T) {
	hostile := "\x1b[31m\xff\u202e\r" + strings.Repeat("x", 5000)
	for _, old := range []string{
		"version=v4", "num_class=1", "num_tree_per_iteration=1", "max_feature_idx=1", "objective=regression", "feature_names=price kind",
		"Tree=0", "Tree=1", "num_leaves=3", "num_cat=1", "split_feature=0 1", "threshold=2.5 0", "decision_type=8 1",
		"left_child=1 -1", "right_child=-2 -3", "leaf_value=1 2 4", "leaf_count=5 6 7", "internal_count=18 12",
		"cat_boundaries=0 1", "cat_threshold=6",
	} {
		for _, edited := range []string{
			strings.Replace(small, old, old+hostile, 1),
			strings.Replace(small, old, old+"\n"+hostile, 1),
			strings.Replace(small, old, old[:strings.Index(old, "=")+1]+hostile, 1),
		} {
			for _, opt := range []Options{{}, {Margin: true}} {
				file, err := Read([]byte(edited), opt)
				checkText(t, file, err)
			}
		}
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"version", "version=v4", "version=\x1b[31m", `header: version="\x1b[31m": want v2, v3 or v4`},
		{"class count", "num_class=1", "num_class=1\r\a", `header: num_class="1\r\a": want a whole number`},
		{"objective", "objective=regression", "objective=\x1b[31mmine", `header: objective="\x1b[31mmine": want at most 256 bytes of printable UTF-8`},
		{"long objective", "objective=regression", "objective=binary sigmoid:1." + strings.Repeat("0", 300), `000"...: want at most 256 bytes of printable UTF-8`},
		{"name", "price kind", "price \x1b[31m", `header: feature_names: name 1 is "\x1b[31m": want UTF-8 without control characters`},
		{"name in another encoding", "price kind", "price Gr\xf6\xdfe", `header: feature_names: name 1 is "Gr\xf6\xdfe": want UTF-8`},
		{"tree", "Tree=1", "Tree=\x9b", `tree 1: "Tree=\x9b": want "Tree=1"`},
		{"value", "leaf_value=1 2 4", "leaf_value=1 \x1b[31m 4", `leaf_value[1] = "\x1b[31m": want a number`},
		{"leaf count", "num_leaves=3", "num_leaves=\x1b", `num_leaves="\x1b": want a whole number`},
		{"child", "left_child=1 -1", "left_child=1 \xff", `left_child[1] = "\xff": want a whole number from -3 to 1`},
	} {
		_, err := Read([]byte(strings.Replace(small, c.old, c.new, 1)), Options{Margin: true})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", c.name, err, c.want)
		}
	}
}
