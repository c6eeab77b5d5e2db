// Package espial turns a Go program into a member of a cluster: nodes find each
// other, admit or refuse each other, elect a leader, and exchange events, streams
// and calls over encrypted links, without a server to run.
package espial
