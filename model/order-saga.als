/*
 * The protocol of an order, as the code has it: its row, its stock, its charge, its saga, the gateway, the reconciler, operators, and
 * its events. One action here is one transaction there, or one thing that happens at the gateway. What is checked is below; each
 * planted change (sig Change) weakens one guard, and must be refuted. docs/model.md says what stands for what.
 */
abstract sig Change {}
one sig NoStateGuard, ConfirmWhileUnwinding, NoHoldingsGuard, ReleaseForgetsStock, NoReconciler, ConfirmUnpaid,
  RecordBeforeRefund, SkipHeld, EventAfterwards, NoRestart, UndoTrustsItsMemory extends Change {}
one sig Model { planted: lone Change }
pred intact { no Model.planted }
pred planted[c: Change] { Model.planted = c }

abstract sig Status {} one sig Pending, Confirmed, Cancelled extends Status {}
abstract sig Reason {} one sig Refused, Asked, Deadline extends Reason {}
abstract sig Held {} one sig Reserved, Sold, Released, ByHand extends Held {}
abstract sig Payment {} one sig Charged, Declined, Voided, Refunding, Refunded, Outside extends Payment {}
abstract sig Work {} one sig Running, Undoing, Ended extends Work {}
abstract sig Step {} one sig Reserve, Charge, Confirm extends Step {}
abstract sig Undo {} one sig RefundPayment, ReleaseInventory extends Undo {}
abstract sig Event {}
one sig Accepted, StockReserved, PaymentCharged, OrderConfirmed, StockReleased, PaymentRefunded, OrderCancelled, Failed extends Event {}
abstract sig Gateway {} one sig Flying, Taken, Back, FailedLater extends Gateway {}
sig Piece {}
one sig Stock { var left: set Piece }

sig Order {
  var status: one Status, var reason: lone Reason,   -- the row: what decides
  var held: lone Held, var piece: lone Piece,        -- its reservation; Released = the undo's tombstone, ByHand = an operator's
  var pay: lone Payment,                             -- its payment; Voided = the undo's tombstone
  var work: lone Work, var begun: set Step,          -- its saga; an attempt that was begun may still take effect, at any later time
  var undone: set Undo,
  var gate: set Gateway,                             -- the provider: a request under way, money taken, given back, a refund that failed
  var emitted: set Event, var earlier: Event -> Event,
  var delivered: set Event, var dead: set Event
}

pred init {
  all o: Order { o.status = Pending no o.reason no o.held no o.piece no o.pay no o.work no o.begun no o.undone no o.gate
    o.emitted = Accepted no o.earlier no o.delivered no o.dead }
  Stock.left = Piece
}

-- frames, by who owns what
pred sameRow[o: Order] { o.status' = o.status o.reason' = o.reason }
pred sameStock[o: Order] { o.held' = o.held o.piece' = o.piece Stock.left' = Stock.left }
pred samePay[o: Order] { o.pay' = o.pay }
pred sameSaga[o: Order] { o.work' = o.work o.begun' = o.begun o.undone' = o.undone }
pred sameGate[o: Order] { o.gate' = o.gate }
pred quiet[o: Order] { o.emitted' = o.emitted o.earlier' = o.earlier }
pred sameRelay[o: Order] { o.delivered' = o.delivered o.dead' = o.dead }
pred emit[o: Order, e: Event] { o.emitted' = o.emitted + e o.earlier' = o.earlier + (o.emitted - e) -> e }
pred others[o: Order] { all p: Order - o { sameRow[p] p.held' = p.held p.piece' = p.piece samePay[p] sameSaga[p] sameGate[p] quiet[p] sameRelay[p] } }

-- the order state guard: pending and not unwinding
pred open_[o: Order] { o.status = Pending no o.reason }
pred mayStep[o: Order] { open_[o] or (planted[NoStateGuard] and o.status = Pending) }

-- the saga
pred canStart[o: Order] { (no o.work and o.status = Pending) or (o.work != Running and o.work != Undoing and o.status = Confirmed and some o.reason)
  planted[NoRestart] implies no o.begun }
pred start[o: Order] { canStart[o] o.work' = (o.status = Confirmed implies Undoing else Running) o.begun' = o.begun no o.undone'
  sameRow[o] sameStock[o] samePay[o] sameGate[o] quiet[o] sameRelay[o] others[o] }
pred firstStart[o: Order] { no o.work no o.begun o.status = Pending o.work' = Running o.begun' = o.begun no o.undone'
  sameRow[o] sameStock[o] samePay[o] sameGate[o] quiet[o] sameRelay[o] others[o] }
pred terminate[o: Order] { o.work in Running + Undoing some o.work no o.work' no o.undone' o.begun' = o.begun
  sameRow[o] sameStock[o] samePay[o] sameGate[o] quiet[o] sameRelay[o] others[o] }
-- whatever the row says: only a step's effect asks it
pred canBegin[o: Order, s: Step] { o.work = Running s not in o.begun
  s = Charge implies (o.held in Reserved + ByHand and some o.held)
  s = Confirm implies (o.pay in Charged + Outside and some o.pay) }
pred begin[o: Order, s: Step] { canBegin[o, s] o.begun' = o.begun + s o.work' = o.work o.undone' = o.undone
  sameRow[o] sameStock[o] samePay[o] sameGate[o] quiet[o] sameRelay[o] others[o] }
pred canUnwind[o: Order] { o.work = Running some o.reason o.status = Pending }
pred unwind[o: Order] { canUnwind[o] o.work' = Undoing o.begun' = o.begun no o.undone'
  sameRow[o] sameStock[o] samePay[o] sameGate[o] quiet[o] sameRelay[o] others[o] }
pred canEnd[o: Order] { o.work = Running o.status = Confirmed }
pred end[o: Order] { canEnd[o] o.work' = (some o.reason implies none else Ended) o.begun' = o.begun o.undone' = o.undone
  sameRow[o] sameStock[o] samePay[o] sameGate[o] quiet[o] sameRelay[o] others[o] }

-- steps; each may be a late attempt's
pred canReserve[o: Order] { Reserve in o.begun mayStep[o] no o.held some Stock.left }
pred reserve[o: Order] { canReserve[o] some p: Stock.left { o.piece' = p Stock.left' = Stock.left - p } o.held' = Reserved emit[o, StockReserved]
  sameRow[o] samePay[o] sameSaga[o] sameGate[o] sameRelay[o] others[o] }
pred canRefuse[o: Order] { Reserve in o.begun open_[o] no o.held no Stock.left }
pred refuse[o: Order] { canRefuse[o] o.reason' = Refused o.status' = o.status emit[o, Failed]
  sameStock[o] samePay[o] sameSaga[o] sameGate[o] sameRelay[o] others[o] }
-- the request goes out while the order may be charged; it arrives whenever it does
pred canAsk[o: Order] { Charge in o.begun open_[o] no o.pay Flying not in o.gate Taken not in o.gate }
pred ask[o: Order] { canAsk[o] o.gate' = o.gate + Flying sameRow[o] sameStock[o] samePay[o] sameSaga[o] quiet[o] sameRelay[o] others[o] }
pred canLand[o: Order] { Flying in o.gate Taken not in o.gate }
pred land[o: Order] { canLand[o] o.gate' = o.gate - Flying + Taken sameRow[o] sameStock[o] samePay[o] sameSaga[o] quiet[o] sameRelay[o] others[o] }
pred lose[o: Order] { Flying in o.gate o.gate' = o.gate - Flying sameRow[o] sameStock[o] samePay[o] sameSaga[o] quiet[o] sameRelay[o] others[o] }
pred decline[o: Order] { Flying in o.gate open_[o] no o.pay o.gate' = o.gate - Flying o.pay' = Declined o.reason' = Refused o.status' = o.status
  emit[o, Failed] sameStock[o] sameSaga[o] sameRelay[o] others[o] }
pred canRecord[o: Order] { Taken in o.gate Charge in o.begun mayStep[o] no o.pay }
pred record[o: Order] { canRecord[o] o.pay' = Charged emit[o, PaymentCharged] sameRow[o] sameStock[o] sameSaga[o] sameGate[o] sameRelay[o] others[o] }
-- the first try passes the pivot in the same transaction
pred sell[o: Order] { o.held' = (o.held = Reserved implies Sold else o.held) }
pred recordConfirmed[o: Order] { canRecord[o] o.held in Reserved + ByHand some o.held o.pay' = Charged o.status' = Confirmed o.reason' = o.reason sell[o]
  o.piece' = o.piece Stock.left' = Stock.left o.emitted' = o.emitted + PaymentCharged + OrderConfirmed
  o.earlier' = o.earlier + (o.emitted - PaymentCharged) -> PaymentCharged + (o.emitted + PaymentCharged) -> OrderConfirmed
  sameSaga[o] sameGate[o] sameRelay[o] others[o] }
pred canConfirm[o: Order] { Confirm in o.begun or (planted[ConfirmUnpaid] and o.work = Running)
  open_[o] or (planted[ConfirmWhileUnwinding] and o.status = Pending)
  (o.held in Reserved + ByHand and some o.held) (o.pay in Charged + Outside and some o.pay) or planted[ConfirmUnpaid] }
pred confirm[o: Order] { canConfirm[o] o.status' = Confirmed o.reason' = o.reason sell[o] o.piece' = o.piece Stock.left' = Stock.left
  (planted[EventAfterwards] implies quiet[o] else emit[o, OrderConfirmed]) samePay[o] sameSaga[o] sameGate[o] sameRelay[o] others[o] }

-- decisions
pred cancel[o: Order] { o.status in Pending + Confirmed no o.reason o.reason' = Asked o.status' = o.status
  sameStock[o] samePay[o] sameSaga[o] sameGate[o] quiet[o] sameRelay[o] others[o] }
pred deadline[o: Order] { open_[o] some o.begun o.reason' = Deadline o.status' = o.status
  sameStock[o] samePay[o] sameSaga[o] sameGate[o] quiet[o] sameRelay[o] others[o] }
pred skip[o: Order] { Charge in o.begun o.work = Running open_[o] no o.pay o.pay' = Outside emit[o, PaymentCharged]
  sameRow[o] sameStock[o] sameSaga[o] sameGate[o] sameRelay[o] others[o] }

pred skipReserve[o: Order] { Reserve in o.begun o.work = Running open_[o] no o.held o.held' = ByHand o.piece' = o.piece Stock.left' = Stock.left
  emit[o, StockReserved] sameRow[o] samePay[o] sameSaga[o] sameGate[o] sameRelay[o] others[o] }

-- undos: none asks whether its step ran
pred undoing[o: Order] { o.work = Undoing some o.reason }
pred canShut[o: Order] { undoing[o] no o.pay or o.pay = Charged }
pred shut[o: Order] { canShut[o] o.pay' = (o.pay = Charged implies (planted[RecordBeforeRefund] implies Refunded else Refunding) else Voided)
  sameRow[o] sameStock[o] sameSaga[o] sameGate[o] quiet[o] sameRelay[o] others[o] }
pred canGiveBack[o: Order] { undoing[o] o.pay in Voided + Refunding + Outside some o.pay Taken in o.gate Back not in o.gate }
pred giveBack[o: Order] { canGiveBack[o] o.gate' = o.gate + Back sameRow[o] sameStock[o] samePay[o] sameSaga[o] quiet[o] sameRelay[o] others[o] }
pred canRecordRefund[o: Order] { undoing[o] o.pay in Refunding + Voided some o.pay Back in o.gate }
pred recordRefund[o: Order] { canRecordRefund[o] o.pay' = Refunded emit[o, PaymentRefunded]
  sameRow[o] sameStock[o] sameSaga[o] sameGate[o] sameRelay[o] others[o] }
-- an operator vouches that the money went back: of a payment that was made outside, no machine can give it back
pred skipRefund[o: Order] { undoing[o] PaymentRefunded not in o.emitted o.pay in Refunding + Voided + Outside some o.pay o.pay' = Outside
  emit[o, PaymentRefunded] sameRow[o] sameStock[o] sameSaga[o] sameGate[o] sameRelay[o] others[o] }
pred waitsForOperator[o: Order] { undoing[o] o.pay = Outside PaymentRefunded not in o.emitted }
-- the look sees what is taken now; what lands after it is the reconciler's
pred canRefundDone[o: Order] { undoing[o] RefundPayment not in o.undone
  (some o.pay and o.pay not in Charged + Refunding and not waitsForOperator[o] and (o.pay = Voided implies Taken not in o.gate))
    or (planted[UndoTrustsItsMemory] and no o.pay & (Charged + Refunding)) }
pred refundDone[o: Order] { canRefundDone[o] o.undone' = o.undone + RefundPayment o.work' = o.work o.begun' = o.begun
  sameRow[o] sameStock[o] samePay[o] sameGate[o] quiet[o] sameRelay[o] others[o] }
-- only the first step's own refusal proves that nothing came after it
pred canRelease[o: Order] { undoing[o] ReleaseInventory not in o.undone
  RefundPayment in o.undone or (o.reason = Refused and no o.pay and Charge not in o.begun) }
pred release[o: Order] { canRelease[o] o.held' = Released
  (planted[ReleaseForgetsStock] implies Stock.left' = Stock.left else Stock.left' = Stock.left + o.piece) no o.piece'
  (o.held in Reserved + Sold and some o.held implies emit[o, StockReleased] else quiet[o])
  o.undone' = o.undone + ReleaseInventory o.work' = o.work o.begun' = o.begun
  sameRow[o] samePay[o] sameGate[o] sameRelay[o] others[o] }
pred holds[o: Order] { o.held in Reserved + Sold and some o.held or (o.pay in Charged + Refunding and some o.pay) }
pred canFinish[o: Order] { undoing[o] o.status != Cancelled (ReleaseInventory in o.undone and not holds[o]) or planted[NoHoldingsGuard] }
pred finish[o: Order] { canFinish[o] o.status' = Cancelled o.reason' = o.reason o.work' = Ended o.begun' = o.begun o.undone' = o.undone
  emit[o, OrderCancelled] sameStock[o] samePay[o] sameGate[o] sameRelay[o] others[o] }

-- beside the saga
pred canReconcile[o: Order] { o.status = Cancelled o.pay != Outside Taken in o.gate Back not in o.gate not planted[NoReconciler] }
pred reconcile[o: Order] { canReconcile[o] o.gate' = o.gate + Back sameRow[o] sameStock[o] samePay[o] sameSaga[o] quiet[o] sameRelay[o] others[o] }
pred refundFails[o: Order] { Back in o.gate FailedLater not in o.gate o.status = Cancelled o.gate' = o.gate - Back + FailedLater
  sameRow[o] sameStock[o] samePay[o] sameSaga[o] quiet[o] sameRelay[o] others[o] }
pred waits[o: Order, e: Event] { e in o.emitted - o.delivered - o.dead (o.earlier.e in o.delivered or planted[SkipHeld]) }
pred deliver[o: Order, e: Event] { waits[o, e] o.delivered' = o.delivered + e o.dead' = o.dead
  sameRow[o] sameStock[o] samePay[o] sameSaga[o] sameGate[o] quiet[o] others[o] }
pred hold[o: Order, e: Event] { waits[o, e] o.dead' = o.dead + e o.delivered' = o.delivered
  sameRow[o] sameStock[o] samePay[o] sameSaga[o] sameGate[o] quiet[o] others[o] }
pred replay[o: Order, e: Event] { e in o.dead o.dead' = o.dead - e o.delivered' = o.delivered + e
  sameRow[o] sameStock[o] samePay[o] sameSaga[o] sameGate[o] quiet[o] others[o] }
pred nothing { all o: Order { sameRow[o] o.held' = o.held o.piece' = o.piece samePay[o] sameSaga[o] sameGate[o] quiet[o] sameRelay[o] } Stock.left' = Stock.left }
pred act[o: Order] { firstStart[o] or start[o] or terminate[o] or (some s: Step | begin[o, s]) or unwind[o] or end[o] or reserve[o] or refuse[o] or ask[o]
  or land[o] or lose[o] or decline[o] or record[o] or recordConfirmed[o] or confirm[o] or cancel[o] or deadline[o] or skip[o] or skipReserve[o] or skipRefund[o] or shut[o] or giveBack[o]
  or recordRefund[o] or refundDone[o] or release[o] or finish[o] or reconcile[o] or refundFails[o]
  or (some e: Event | deliver[o, e] or hold[o, e] or replay[o, e]) }
pred protocol { init and always (nothing or some o: Order | act[o]) }
-- a path: what a saga did, action by action, and nothing after it. Its actions are those of `act`, which model/run.mjs sees to
pred told[o: Order, e: Event] { e in o.emitted }
pred untold[o: Order, e: Event] { e not in o.emitted }
pred is[o: Order, s: Status] { o.status = s }
pred because[o: Order, r: Reason] { o.reason = r }

-- safety
pred stockConserved { always { Stock.left + Order.piece = Piece no Stock.left & Order.piece all disj o, p: Order | no o.piece & p.piece } }
pred nothingHeldWhenCancelled { always all o: Order | o.status = Cancelled implies (not holds[o] and no o.piece) }
pred confirmedIsPaid { always all o: Order | (o.status = Confirmed and no o.reason) implies
  (o.held in Sold + ByHand and some o.held and some o.pay and o.pay in Charged + Outside and (o.pay = Charged implies Taken in o.gate and Back not in o.gate)) }
pred unwindingIsNeverConfirmed { always all o: Order | (o.status = Pending and some o.reason) implies always o.status != Confirmed }
pred cancelledIsFinal { always all o: Order | o.status = Cancelled implies always (o.status = Cancelled and no o.piece) }
pred tombstonesStay { always all o: Order | o.status = Cancelled implies ((some o.pay or Charge not in o.begun) and o.held = Released) }
pred refundIsMade { always all o: Order | o.pay = Refunded implies (Back + FailedLater) & o.gate != none }
pred eventsSayIt { always all o: Order | (o.status = Confirmed implies OrderConfirmed in o.emitted) and (o.status = Cancelled implies OrderCancelled in o.emitted) }
pred deliveredInOrder { always all o: Order, e: o.delivered | o.earlier.e in o.delivered }
pred safe { stockConserved nothingHeldWhenCancelled confirmedIsPaid unwindingIsNeverConfirmed cancelledIsFinal tombstonesStay refundIsMade eventsSayIt deliveredInOrder neverStuck }

-- nothing stands still: an order that has not come to its end always has something that the system itself will do
pred final_[o: Order] { o.status = Cancelled or (o.status = Confirmed and no o.reason) }
pred canMove[o: Order] { canStart[o] or waitsForOperator[o] or (no o.reason and some s: Step | canBegin[o, s]) or canUnwind[o] or canEnd[o] or canReserve[o] or canRefuse[o] or canAsk[o]
  or Flying in o.gate or canRecord[o] or canConfirm[o] or (undoing[o] and (canShut[o] or canGiveBack[o] or canRecordRefund[o] or canRefundDone[o]
  or canRelease[o] or canFinish[o])) }
pred neverStuck { always all o: Order | final_[o] or canMove[o] }

-- liveness, by the fairness of the reconciler alone, and of the relay alone
pred fairReconciler { all o: Order | (eventually always canReconcile[o]) implies always eventually reconcile[o] }
pred fairRelay { all o: Order, e: Event { (eventually always waits[o, e]) implies always eventually (deliver[o, e] or hold[o, e])
  (eventually always e in o.dead) implies always eventually replay[o, e] } }
pred moneyInTheEnd { all o: Order | (eventually always o.status = Cancelled) implies
  eventually always (o.pay = Outside or Taken not in o.gate or Back in o.gate) }
pred allDelivered { all o: Order, e: Event | (eventually e in o.emitted) implies eventually e in o.delivered }
-- what is deliberately not promised: the charge that lands after the undo has looked is given back later, not at once
pred moneyAtOnce { always all o: Order | (o.status = Cancelled and o.pay != Outside and Taken in o.gate) implies (Back + FailedLater) & o.gate != none }
