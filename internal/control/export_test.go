package control

// Cut ends the connection of a stream as the end of its process does.
func Cut(s *Stream) { _ = s.conn.Close() }
