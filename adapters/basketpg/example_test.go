package basketpg_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketpg"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A server whose rows are in PostgreSQL.
func Example() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	store, err := basketpg.NewStore(pool, basketpg.WithTable("shop.basket_rows"))
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Check(ctx); err != nil { // or CreateTable, once
		log.Fatal(err)
	}
	limited, err := basket.LimitStore(store, 100*time.Millisecond)
	if err != nil {
		log.Fatal(err)
	}
	model, err := basket.LoadModel("model.txt")
	if err != nil {
		log.Fatal(err)
	}
	p, err := basket.New(basket.WithStore(limited), basket.WithRoutes("", basket.Route{Name: "main", Model: model, Weight: 1}))
	if err != nil {
		log.Fatal(err)
	}
	prediction, err := p.Predict(ctx, "ann")
	fmt.Println(prediction.Value, err)
}

// Stores the newest row of each user.
func ExampleStore_PutAll() {
	store := func(ctx context.Context, store *basketpg.Store, m *basket.Materializer) error {
		return store.PutAll(ctx, m.Latest(ctx))
	}
	_ = store
}
