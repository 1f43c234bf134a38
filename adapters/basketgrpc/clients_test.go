package basketgrpc_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/basket-go/basket/adapters/basketgrpc/inferencepb"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// TestClients runs testdata/clients.py, with Triton's and KServe's gRPC clients, in the
// Python environments that OIP_PYTHON names, separated by colons: those that
// oip.TestClients uses.
func TestClients(t *testing.T) {
	pythons := os.Getenv("OIP_PYTHON")
	if pythons == "" {
		if os.Getenv("BASKET_SERVERS") != "" {
			t.Fatal("BASKET_SERVERS is set, but OIP_PYTHON is not")
		}
		t.Skip("want OIP_PYTHON, Python environments with tritonclient[grpc] and with kserve")
	}
	h := newHandler(t)
	rest := httptest.NewServer(h)
	defer rest.Close()
	key, access := withKey(t)
	fields, err := json.Marshal(protoFields())
	if err != nil {
		t.Fatal(err)
	}
	fieldsFile := filepath.Join(t.TempDir(), "fields.json")
	if err := os.WriteFile(fieldsFile, fields, 0o600); err != nil {
		t.Fatal(err)
	}
	ran := map[string]bool{}
	for _, python := range strings.Split(pythons, ":") {
		for _, with := range []string{"no key", "a key"} {
			t.Run(filepath.Base(filepath.Dir(filepath.Dir(python)))+" with "+with, func(t *testing.T) {
				args := []string{"testdata/clients.py", "--fields", fieldsFile, "--rest", rest.URL}
				if with == "a key" {
					args = append(args, "--url", serveModels(t, h, access), "--key", key)
				} else {
					args = append(args, "--url", serveModels(t, h))
				}
				out, err := exec.Command(python, args...).CombinedOutput()
				t.Logf("%s", out)
				if err != nil || !strings.Contains(string(out), "failed checks: 0") {
					t.Errorf("%v", err)
				}
				for _, client := range []string{"triton", "kserve"} {
					ran[client] = ran[client] || strings.Contains(string(out), "ok   "+client+": ")
				}
			})
		}
	}
	if !ran["triton"] || !ran["kserve"] {
		t.Errorf("clients that ran %v: want triton and kserve", ran)
	}
}

// protoFields returns the fields of each message: name, number, kind, and whether they are
// repeated.
func protoFields() map[string]map[string][]any {
	all := map[string]map[string][]any{}
	var add func(list protoreflect.MessageDescriptors)
	add = func(list protoreflect.MessageDescriptors) {
		for i := range list.Len() {
			m := list.Get(i)
			if m.IsMapEntry() {
				continue
			}
			fields := map[string][]any{}
			for j := range m.Fields().Len() {
				f := m.Fields().Get(j)
				fields[string(f.Name())] = []any{f.Number(), int(f.Kind()), f.Cardinality() == protoreflect.Repeated}
			}
			all[string(m.FullName())] = fields
			add(m.Messages())
		}
	}
	add(inferencepb.File_inference_proto.Messages())
	return all
}
