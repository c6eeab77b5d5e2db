package multicast

import "time"

// A socket reads at most burstMax datagrams in burstTime, 12,800 in a second: more than the
// beacons of any cluster, and little for a core. What comes faster is a flood. It waits in
// the buffer of the socket, and the system drops what finds that full.
const (
	burstMax  = 128
	burstTime = 10 * time.Millisecond
)

// pace bounds how fast a socket is read. Its zero value is ready.
type pace struct {
	began time.Time // when the burst began
	count int       // datagrams in it
}

// next counts a datagram that is about to be read, and returns how long to wait before.
func (p *pace) next(now time.Time) time.Duration {
	if p.count < burstMax && p.count > 0 {
		p.count++
		return 0
	}
	left := max(0, p.began.Add(burstTime).Sub(now))
	p.began, p.count = now.Add(left), 1
	return left
}
