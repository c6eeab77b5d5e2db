package main

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// segments returns how many TCP segments with data in them the open connections of this
// process have sent. A message that waits for no other one is a segment.
func segments() (sent uint64, counted bool) {
	const dir = "/proc/self/fd/"
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, false
	}
	for _, f := range files {
		what, _ := os.Readlink(dir + f.Name()) // one that was closed meanwhile is no socket
		fd, err := strconv.Atoi(f.Name())
		if err != nil || !strings.HasPrefix(what, "socket:") {
			continue
		}
		if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			sent += uint64(info.Data_segs_out)
		}
	}
	return sent, true
}
