package mailbox

// lossesMax is how many pairs of sender and topic a queue tells apart among what it
// dropped since the reader came by. Beyond it the counts stay exact, but become those
// of a sender, and beyond twice as many those of several senders together.
const lossesMax = 64

// losses counts what was dropped in front of a queue.
type losses []Loss

// add counts one more loss.
func (l *losses) add(loss Loss) {
	at := l.find(loss)
	if at < 0 && len(*l) >= lossesMax {
		loss.Topic = ""
		at = l.find(loss)
	}
	if at < 0 && len(*l) >= 2*lossesMax {
		loss = Loss{Count: loss.Count, Unknown: loss.Unknown}
		at = l.find(loss)
	}
	if at < 0 {
		*l = append(*l, loss)
		return
	}
	(*l)[at].merge(loss)
}

// find returns the place of the loss of the same sender, topic and lane, or -1. The
// latest is the likeliest.
func (l losses) find(loss Loss) int {
	for i := len(l) - 1; i >= 0; i-- {
		if l[i].like(loss) {
			return i
		}
	}
	return -1
}

// like reports whether two losses are counted together.
func (l *Loss) like(other Loss) bool {
	return l.Lane == other.Lane && l.Topic == other.Topic && l.From == other.From
}

// merge adds the count of another loss.
func (l *Loss) merge(other Loss) {
	l.Count += other.Count
	l.Unknown = l.Unknown || other.Unknown
}
