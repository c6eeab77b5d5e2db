package espial_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/frame"
)

// page collects log lines.
type page struct {
	mu sync.Mutex // guards what follows
	b  bytes.Buffer
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

// lines returns the lines that contain a text.
func (p *page) lines(text string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for line := range strings.Lines(p.b.String()) {
		if strings.Contains(line, text) {
			out = append(out, strings.TrimSuffix(line, "\n"))
		}
	}
	return out
}

// suppressed finds the count of lines that were not written.
var suppressed = regexp.MustCompile(`suppressed=([0-9]+)`)

// G11: strangers choose how often they knock, not how long the log gets: one line a second
// and class, and each says how many like it were not written. Datagrams write none.
func TestStrangersWriteOneLogLineASecond(t *testing.T) {
	empty(t, func(c *cluster) {
		p := &page{}
		n := c.start(espial.Config{Logger: slog.New(slog.NewTextHandler(p, nil))})
		out, err := c.net.Host(ip(9)).ListenPacket(":0")
		if err != nil {
			c.Fatal(err)
		}
		group := &net.UDPAddr{IP: net.IPv4(239, 255, 77, 82), Port: 27272}
		const knocks, seconds = 200, 4
		for i := range knocks {
			garbage := c.attacker(100 + i%10).raw(n) // of one address few are taken
			_, _ = garbage.Write([]byte("GET /\x1b[2J HTTP/1.1\r\n\r\n"))
			_ = gone(garbage)
			rude := c.attacker(200 + i%10).dial(n)
			rude.say(frame.Probe{})
			rude.rest()
			for range 20 {
				_, _ = out.WriteTo([]byte(strings.Repeat("garbage\x1b[2J", 20)), group)
			}
			time.Sleep(seconds * time.Second / knocks)
		}
		time.Sleep(time.Second)
		for _, text := range []string{"handshake failed", "admission failed"} {
			lines := p.lines(text)
			if len(lines) < seconds-1 || len(lines) > seconds+2 {
				c.Errorf("%d lines of %q for %d knocks in %d s, want one a second", len(lines), text, knocks, seconds)
			}
			told := len(lines)
			for _, line := range lines {
				if text == "handshake failed" && !strings.Contains(line, " addr=10.0.0.1") {
					c.Errorf("the line does not say who knocked: %s", line)
				}
				if m := suppressed.FindStringSubmatch(line); m != nil {
					count, _ := strconv.Atoi(m[1])
					told += count
				}
			}
			if told < knocks*3/4 || told > knocks {
				c.Errorf("%q: the lines tell of %d knocks, want about %d", text, told, knocks)
			}
		}
		all := p.lines("")
		if len(all) > 2*(seconds+2)+2 {
			c.Errorf("%d lines in all, want two classes of %d:\n%s", len(all), seconds, strings.Join(all, "\n"))
		}
		if strings.Contains(strings.Join(all, ""), "\x1b") {
			c.Error("a control character of a stranger reached the log")
		}
		_ = out.Close()
	})
}

// TestAPanicOfAHandlerIsLogged, with its stack, so that somebody can mend it.
func TestAPanicOfAHandlerIsLogged(t *testing.T) {
	empty(t, func(c *cluster) {
		p := &page{}
		n := c.start(espial.Config{Logger: slog.New(slog.NewTextHandler(p, nil))})
		c.served(n.Serve("work", func(context.Context, espial.Caller, []byte) ([]byte, error) { panic("out of paper") }))
		if _, err := n.Call(c.Context(), "work", only(n), nil); !errors.Is(err, espial.ErrPanicked) {
			t.Errorf("Call = %v, want %v", err, espial.ErrPanicked)
		}
		lines := strings.Join(p.lines("a handler panicked"), "\n")
		for _, want := range []string{"method=work", n.ID().String(), "out of paper", "log_test.go"} {
			if strings.Count(lines, "level=ERROR") != 1 || !strings.Contains(lines, want) {
				t.Errorf("the log says %q, want one error with %q", lines, want)
			}
		}
	})
}
