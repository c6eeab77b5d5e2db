package espial_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/espial-go/espial"
)

// Speaker is a value that is served.
type Speaker struct{ Language string }

// Say speaks.
func (s *Speaker) Say(_ context.Context, words string) (string, error) {
	return strings.ToUpper(words), nil
}

// A value that is served, and a struct of functions that call it. Here a node calls itself.
func ExampleServeObject() {
	ctx := context.Background()
	n, err := espial.Start(ctx, espial.Config{
		Cluster: "example-object", Listen: "127.0.0.1:0", Multicast: espial.Multicast{Off: true},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer n.Close()

	stop, err := espial.ServeObject(n, "speaker", &Speaker{Language: "English"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	type speaker struct {
		Say func(ctx context.Context, words string) (string, error)
		Get struct {
			Language func(ctx context.Context) (string, error)
		}
	}
	s, err := espial.Bind[speaker](n, espial.Only(n.ID()), "speaker")
	if err != nil {
		fmt.Println(err)
		return
	}
	said, err := s.Say(ctx, "hello")
	fmt.Println(said, err)
	language, err := s.Get.Language(ctx)
	fmt.Println(language, err)
	// Output:
	// HELLO <nil>
	// English <nil>
}
