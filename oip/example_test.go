package oip_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/oip"
)

// A model file and a store behind the Open Inference Protocol.
func ExampleNewHandler() {
	model, err := basket.LoadModel("../testdata/models/lightgbm-regression/model.txt")
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{
		{UserID: "ann", OrderedAt: time.Unix(0, 0), Number: 1, Values: []float64{20, 5, 1, 2}},
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	h := oip.NewHandler(store, func() []oip.Version { return []oip.Version{{Name: "price", Version: "1", Model: model}} })

	for _, request := range []struct{ path, body string }{
		{"/v2/models/price/infer", `{"inputs":[{"name":"user_id","shape":[1],"datatype":"BYTES","data":["ann"]}]}`},
		{"/v2/models/price-features/infer", `{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP64","data":[20,5,1,2]}]}`},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", request.path, strings.NewReader(request.body)))
		fmt.Println(w.Body)
	}
	// Output:
	// {"model_name":"price","model_version":"1","outputs":[{"name":"predicted_price","shape":[1],"datatype":"FP64","data":[67.91227177433652]}]}
	// {"model_name":"price-features","model_version":"1","outputs":[{"name":"predicted_price","shape":[1],"datatype":"FP64","data":[67.91227177433652]}]}
}
