package engine

import (
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mux"
)

// reportStreams has changes report the streams of a session with a peer, if that is wanted, but
// for those that carry something of the node's own.
func (e *Engine) reportStreams(c *mux.Config, peer ident.NodeID) {
	if !e.cfg.StreamChanges {
		return
	}
	former, ok := e.member(peer)
	if !ok {
		former.Record = frame.Record{ID: peer}
	}
	c.Report = func(r mux.Report) {
		if glob.CheckName(r.Service) != nil {
			return
		}
		m, ok := e.member(peer)
		if !ok {
			m = former
		}
		e.hub.report(streamChange(r, m))
	}
}

// streamChange is what readers of changes are told of a stream with a member.
func streamChange(r mux.Report, m core.Member) Change {
	c := Change{Note: NoteStreamOpened, Service: r.Service}
	c.At, c.By, c.Member = time.Now(), core.ByPeer, m
	switch r.Event {
	case mux.Opened:
	case mux.Closed:
		c.Note = NoteStreamClosed
	case mux.TimedOut:
		c.Note = NoteStreamTimeout
	}
	if r.Dialed {
		c.By = core.BySelf
	}
	if r.Code != mux.CodeNone {
		c.Reason = r.Code.String()
	}
	return c
}
