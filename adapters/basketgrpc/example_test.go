package basketgrpc_test

import (
	"context"
	"fmt"
	"net"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketgrpc"
	"github.com/basket-go/basket/adapters/basketgrpc/inferencepb"
	"github.com/basket-go/basket/oip"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// A model file behind gRPC, asked for the price of one row.
func ExampleNewServer() {
	model, err := basket.LoadModel("../../testdata/models/lightgbm-regression/model.txt")
	if err != nil {
		fmt.Println(err)
		return
	}
	h := oip.NewHandler(nil, func() []oip.Version { return []oip.Version{{Name: "price", Version: "1", Model: model}} })
	s := basketgrpc.NewServer(h)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = s.Serve(listener) }() // its error is that of the listener
	defer s.GracefulStop()

	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	answer, err := inferencepb.NewGRPCInferenceServiceClient(conn).ModelInfer(context.Background(), &inferencepb.ModelInferRequest{
		ModelName: "price-features",
		Inputs: []*inferencepb.ModelInferRequest_InferInputTensor{{
			Name: "features", Datatype: "FP64", Shape: []int64{1, 4},
			Contents: &inferencepb.InferTensorContents{Fp64Contents: []float64{20, 5, 1, 2}},
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.GetModelVersion(), answer.GetOutputs()[0].GetContents().GetFp64Contents())
	// Output: 1 [67.91227177433652]
}
