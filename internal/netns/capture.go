package netns

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// captureMax bounds one capture, in packets: tcpdump then stops.
const captureMax = "200000"

// Capture records packets. It begins when it is made and ends with Stop.
type Capture struct {
	t    T
	cmd  *exec.Cmd
	file *os.File
	wg   sync.WaitGroup
}

// Capture records every packet that a host sends into the bridge, faults or not, which
// matches a filter of tcpdump.
func (s *Segment) Capture(filter ...string) *Capture {
	s.t.Helper()
	h := &Host{segment: s, name: s.name}
	return h.capture(bridge, filter)
}

// Capture records every packet that the host sends and receives.
func (h *Host) Capture(filter ...string) *Capture {
	h.segment.t.Helper()
	return h.capture(eth, filter)
}

func (h *Host) capture(device string, filter []string) *Capture {
	t := h.segment.t
	t.Helper()
	file, err := os.CreateTemp(h.mkdir(), "pcap")
	if err != nil {
		t.Fatalf("make a file for a capture: %v", err)
	}
	c := &Capture{t: t, file: file}
	args := []string{"-i", device, "-n", "-U", "--immediate-mode", "-B", "16384", "-c", captureMax, "-w", "-"}
	args = append(args, filter...)
	c.cmd = h.Command(t.Context(), "tcpdump", args...)
	c.cmd.Stdout = file
	stderr, err := c.cmd.StderrPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatalf("start %v: %v", c.cmd.Args, err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		c.wg.Wait()
		_ = file.Close()
	})
	ready := make(chan string, 1)
	c.wg.Go(func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "listening on") {
				break
			}
		}
		ready <- lines.Text()
		_, _ = io.Copy(io.Discard, stderr)
		_ = c.cmd.Wait()
	})
	select {
	case line := <-ready:
		if !strings.Contains(line, "listening on") {
			t.Fatalf("tcpdump does not listen: %s", line)
		}
	case <-time.After(startMax):
		t.Fatalf("tcpdump does not listen after %v", startMax)
	}
	return c
}

// Stop ends the capture and returns it as tcpdump wrote it.
func (c *Capture) Stop() []byte {
	c.t.Helper()
	_ = c.cmd.Process.Signal(syscall.SIGINT)
	c.wg.Wait()
	b, err := os.ReadFile(c.file.Name())
	if err != nil {
		c.t.Fatalf("read a capture: %v", err)
	}
	if len(b) < pcapHeader {
		c.t.Fatalf("a capture of %d bytes is none", len(b))
	}
	return bytes.Clone(b)
}

// Packets ends the capture and returns its IP packets.
func (c *Capture) Packets() []Packet {
	c.t.Helper()
	packets, err := ParsePackets(c.Stop())
	if err != nil {
		c.t.Fatalf("read a capture: %v", err)
	}
	return packets
}
