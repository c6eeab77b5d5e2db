package frame

// Code is the reason of a [Reject] or a [Bye] for programs: a word of at most
// [CodeMax] bytes. One from a peer may be any bytes; unknown ones are shown, quoted,
// and treated like none.
type Code string

// Limits of the text in REJECT and BYE, in bytes.
const (
	CodeMax   = 16
	ReasonMax = 256
)

// Codes of a [Reject].
const (
	CodeFilter  Code = "filter"  // the admission filter said no
	CodeSecret  Code = "secret"  // no proof, or a wrong one, of the cluster secret
	CodeCluster Code = "cluster" // another cluster
	CodeCipher  Code = "cipher"  // the cipher is not one that RequireAES allows
	CodeVersion Code = "version" // another version of the protocol
	CodeFull    Code = "full"    // no room for another link
	CodeName    Code = "name"    // a name outside its grammar, or one that is taken
	CodeDenied  Code = "denied"  // this node is not wanted here
	CodeSelf    Code = "self"    // the node reached itself; never on the wire
)

// CodeDuplicate is for a REJECT and a BYE: the pair has another link.
const CodeDuplicate Code = "duplicate"

// Codes of a [Bye], besides [CodeDuplicate] and [CodeVersion].
const (
	CodeLeave    Code = "leave"    // the sender leaves the cluster
	CodeRotate   Code = "rotate"   // a fresh link replaces this one
	CodeProtocol Code = "protocol" // the peer broke the protocol
	CodeIdle     Code = "idle"     // nobody needs the link
	CodeClose    Code = "close"    // the sender stops without a better reason
)

// appendReason appends code and reason. A reason is for people, so a long one is cut
// instead of making the frame unreadable.
func appendReason(dst []byte, code Code, reason string) []byte {
	dst = appendStr(dst, code)
	return appendStr(dst, reason[:min(len(reason), ReasonMax)])
}

// reason reads what appendReason wrote.
func (r *reader) reason() (Code, string) {
	code := Code(r.str("code", CodeMax))
	return code, r.str("reason", ReasonMax)
}
