package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/serve"
)

// child is this program as one of the servers that are compared. It says
// "ready ADDRESS", serves until its input ends, and says what it lost. To each line
// of its input it says how many nanoseconds of processor time it has used.
func child(args []string) error {
	f := flag.NewFlagSet("child", flag.ContinueOnError)
	kind := f.String("kind", "", "basket or bare")
	data := f.String("data", "", "folder of orders")
	model := f.String("model", "", "model file")
	logs := f.String("logs", "", "folder of the logs")
	rest := f.String("rest", "", "what a bare answer has after the user ID")
	if err := f.Parse(args); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		for s := bufio.NewScanner(os.Stdin); s.Scan(); {
			fmt.Println(cpuTime().Nanoseconds())
		}
		stop()
	}()
	if *kind == "bare" {
		fmt.Printf("ready %s\n", listener.Addr())
		context.AfterFunc(ctx, func() { _ = listener.Close() })
		if err := http.Serve(listener, bare(*rest)); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
	service, err := serve.OpenLogFile(filepath.Join(*logs, "service_metrics.txt"), serve.ServiceLogHeader, nil)
	if err != nil {
		return err
	}
	models, err := serve.OpenLogFile(filepath.Join(*logs, "model_metrics.txt"), serve.ModelLogHeader, nil)
	if err != nil {
		return err
	}
	store, _, m, err := shop{*data, *model}.open()
	if err != nil {
		return err
	}
	p, err := basket.New(
		basket.WithStore(store), basket.WithModel(m),
		basket.WithServiceLogger(serve.NewTextLogger(service)), basket.WithModelLogger(serve.NewTextLogger(models)),
	)
	if err != nil {
		return err
	}
	fmt.Printf("ready %s\n", listener.Addr())
	err = serve.Run(ctx, listener, basket.NewHandler(p))
	dropped := service.Dropped() + models.Dropped()
	fmt.Printf("dropped %d\n", dropped)
	return errors.Join(err, service.Close(), models.Close())
}

// bare is the least that a handler of the same service does with package
// net/http: it decodes the body and writes an answer of the same bytes.
func bare(rest string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			UserID string `json:"user_id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer := make([]byte, 0, 512)
		answer = append(answer, `{"user_id":"`...)
		answer = append(answer, body.UserID...)
		answer = append(answer, rest...)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})
}
