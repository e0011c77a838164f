use super::*;
use std::sync::Mutex;
use std::thread;

/// An address that only this test uses.
fn address() -> (Box<u64>, usize) {
    let word = Box::new(0);
    let address = ptr_of(&word);
    (word, address)
}

fn ptr_of(word: &u64) -> usize {
    std::ptr::from_ref(word).addr()
}

/// How many are in the queue.
fn waiting(address: usize) -> usize {
    let count = std::cell::Cell::new(0);
    list_of(address).take(u32::MAX, |waiter| {
        count.set(count.get() + usize::from(waiter.address == address));
        false
    });
    count.get()
}

fn until(reached: impl Fn() -> bool) {
    while !reached() {
        thread::yield_now();
    }
}

#[test]
fn waiters_are_told_in_the_order_in_which_they_came() {
    let (_word, address) = address();
    let order = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for token in 0..6 {
            let order = &order;
            scope.spawn(move || {
                assert_eq!(wait(address, token, None, || true), Ended::Told(Message::Notified));
                order.lock().unwrap().push(token);
            });
            until(|| waiting(address) == token + 1);
        }
        // From the middle, by its token.
        assert_eq!(wake(address, 9, Message::Notified, |token| token == 2), 1);
        until(|| order.lock().unwrap().len() == 1);
        for number in 2..=6 {
            assert_eq!(wake(address, 1, Message::Notified, |_| true), 1);
            until(|| order.lock().unwrap().len() == number);
        }
        assert_eq!(wake(address, 1, Message::Notified, |_| true), 0);
    });
    assert_eq!(order.into_inner().unwrap(), [2, 0, 1, 3, 4, 5]);
}

#[test]
fn who_leaves_from_anywhere_leaves_the_others_in_order() {
    for leaves in 0..3 {
        let waiters = [0, 1, 2].map(|token| Waiter::new(8, token));
        let mut list = List::new(waiters[0].generation);
        // SAFETY: the waiters outlive the list, and are put into it once.
        unsafe { waiters.iter().for_each(|waiter| list.push(waiter)) };
        // SAFETY: they were put in above.
        unsafe {
            assert!(list.remove(&waiters[leaves]));
            assert!(!list.remove(&waiters[leaves]));
        }
        for token in (0..3).filter(|&token| token != leaves) {
            let taken = list.take(1, |_| true).expect("it is there");
            // SAFETY: it is one of the waiters above.
            assert_eq!(unsafe { taken.as_ref() }.token, token);
        }
        assert!(list.take(1, |_| true).is_none());
    }
}

#[test]
fn as_many_are_told_as_were_counted_however_close_their_time_is() {
    let (_word, address) = address();
    let (mut counted, told) = (0, AtomicU32::new(0));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|token| {
                let told = &told;
                scope.spawn(move || {
                    for k in 0..1000 {
                        let deadline = Instant::now() + Duration::from_micros(k % 40);
                        if let Ended::Told(_) = wait(address, token, Some(deadline), || true) {
                            told.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            counted += wake(address, 2, Message::Notified, |_| true);
        }
    });
    assert_eq!(counted, told.into_inner());
    assert_eq!(waiting(address), 0);
}

#[test]
fn a_refused_wait_is_in_no_queue() {
    let (_word, address) = address();
    assert_eq!(wait(address, 0, None, || false), Ended::Refused);
    assert_eq!(waiting(address), 0);
}

#[test]
fn another_process_finds_no_waiters() {
    let waiter = Waiter::new(8, 0);
    let mut list = List::new(waiter.generation);
    // SAFETY: the waiter outlives the list.
    unsafe { list.push(&waiter) };
    list.start_anew_unless_of(waiter.generation);
    assert!(list.take(0, |_| true).is_none());
    list.start_anew_unless_of(waiter.generation + 1);
    assert!(list.take(1, |_| true).is_none());
    // SAFETY: it was put in above.
    assert!(unsafe { list.remove(&waiter) }, "nobody will tell it");
}
