package overlay

import "github.com/espial-go/espial/internal/ident"

// Action is what the caller must do. It is one of the value types of this file.
type Action interface{ action() }

// Dial asks the caller to reach a link with ID, and to report how it ends to [Keeper.Up]
// or [Keeper.Failed]: also when it comes to nothing because the two were about to have
// another connection. It is asked again only after that.
type Dial struct{ ID ident.NodeID }

// Close asks the caller to close the link with ID at once. The other end is told why:
// either nobody needs the link, or there is no room for it.
type Close struct {
	ID  ident.NodeID
	Why Why // Unused or Full
}

func (Dial) action()  {}
func (Close) action() {}
