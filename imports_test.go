package basket_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImports: who imports the root package gets the standard library and this
// module, and nothing else.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		if path != "github.com/basket-go/basket" && !strings.HasPrefix(path, "github.com/basket-go/basket/internal/") {
			t.Errorf("the root package depends on %s", path)
		}
	}
}
