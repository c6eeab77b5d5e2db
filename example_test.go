package espial_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/espial-go/espial"
)

// A till of an inn rings at the kitchen, and would like to know whether anybody hears it.
func ExampleTarget() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := espial.Config{Cluster: "inn", Listen: "127.0.0.1:0", Multicast: espial.Multicast{Off: true}}
	till, err := espial.Start(ctx, c)
	if err != nil {
		log.Fatal(err)
	}
	c.Seeds, c.Metadata = till.Addrs(), map[string]string{"role": "kitchen"}
	kitchen, err := espial.Start(ctx, c)
	if err != nil {
		log.Fatal(err)
	}
	bell := espial.NewTopic[string]("bell")
	rings := bell.Subscribe(ctx, kitchen)
	if err := till.WaitFor(ctx, 2); err != nil {
		log.Fatal(err)
	}

	err = bell.Publish(ctx, till, "soup", espial.Where("role", "kitchen").Queued())
	fmt.Println("The kitchen has it:", err == nil)
	err = bell.Publish(ctx, till, "wine", espial.Where("role", "cellar"))
	fmt.Println("There is no cellar:", errors.Is(err, espial.ErrNoMember))
	err = bell.Publish(ctx, till, "rent", espial.Only(till.ID()).Queued())
	fmt.Println("Nobody listens here:", errors.Is(err, espial.ErrNoSubscriber))
	for e, err := range rings {
		fmt.Println("In the kitchen:", e.Value, e.Direct, err)
		break
	}

	// Output:
	// The kitchen has it: true
	// There is no cellar: true
	// Nobody listens here: true
	// In the kitchen: soup true <nil>
}

// A till asks the kitchens how long a dish takes.
func ExampleMethod() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := espial.Config{Cluster: "inn", Name: "till", Listen: "127.0.0.1:0", Multicast: espial.Multicast{Off: true}}
	till, err := espial.Start(ctx, c)
	if err != nil {
		log.Fatal(err)
	}
	c.Name, c.Seeds = "kitchen", till.Addrs()
	kitchen, err := espial.Start(ctx, c)
	if err != nil {
		log.Fatal(err)
	}
	minutes := espial.NewMethod[string, int]("dish.minutes")
	_, err = minutes.Serve(kitchen, func(_ context.Context, _ espial.Caller, dish string) (int, error) {
		if dish == "soup" {
			return 5, nil
		}
		return 0, errors.New("not on the menu")
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := till.WaitFor(ctx, 2); err != nil {
		log.Fatal(err)
	}

	n, err := minutes.Call(ctx, till, espial.Named("kitchen"), "soup")
	fmt.Println("Soup:", n, err)
	_, err = minutes.Call(ctx, till, espial.Named("kitchen"), "rent")
	if no, ok := errors.AsType[*espial.MethodError](err); ok {
		fmt.Println("Rent:", no.Member.Name, "says", no.Reason)
	}
	for a := range minutes.Gather(ctx, till, espial.All(), "soup") {
		if errors.Is(a.Err, espial.ErrNoHandler) {
			fmt.Println("No kitchen at the", a.From.Name)
		}
	}

	// Output:
	// Soup: 5 <nil>
	// Rent: kitchen says not on the menu
	// No kitchen at the till
}

// A kitchen serves its menu over HTTP, without a port that anybody has to know.
func ExampleNode_DialContext() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := espial.Config{Cluster: "inn", Name: "kitchen", Listen: "127.0.0.1:0", Multicast: espial.Multicast{Off: true}}
	kitchen, err := espial.Start(ctx, c)
	if err != nil {
		log.Fatal(err)
	}
	c.Name, c.Seeds = "till", kitchen.Addrs()
	till, err := espial.Start(ctx, c)
	if err != nil {
		log.Fatal(err)
	}
	menu, err := kitchen.Listen("menu")
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(menu, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "soup, asked for by %t", r.RemoteAddr == till.ID().String())
	}))
	if err := till.WaitFor(ctx, 2); err != nil {
		log.Fatal(err)
	}

	client := http.Client{Transport: &http.Transport{DialContext: till.DialContext}}
	resp, err := client.Get("http://menu.kitchen.espial/")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	fmt.Println(string(text), err)
	_, err = till.Dial(ctx, "wine.kitchen")
	fmt.Println("There is no wine:", errors.Is(err, espial.ErrNoService))

	// Output:
	// soup, asked for by true <nil>
	// There is no wine: true
}
