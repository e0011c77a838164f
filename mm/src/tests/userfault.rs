//! `UFFDIO_COPY` beside its good case: pages that are there already, and a kernel that asks to come again.

use super::child::in_child;
use crate::sys::{LINUX, Sys, SysError, inject};
use crate::{GRANULE_SIZE, Image, PAGE_SIZE, PagerKind, Region, RegionOptions};

/// A region of this pager, unless the host has none.
fn region() -> Option<Region> {
    let built = RegionOptions::new(1 << 20).accessible(1 << 20).pager(PagerKind::Uffd).build();
    built.inspect_err(|error| eprintln!("skipped: {error}")).ok()
}

/// Where page `page` of `region` is.
fn at(region: &Region, page: usize) -> usize {
    region.base().addr() + page * PAGE_SIZE
}

/// Brings a page full of `byte`, without the space's knowing.
fn bring(region: &Region, page: usize, byte: u8) {
    let image = Image::new(&[byte; PAGE_SIZE]).unwrap();
    assert_eq!(LINUX.copy(at(region, page), PAGE_SIZE, Some(image.view())), Ok(PAGE_SIZE));
}

fn bytes(region: &Region, pages: usize) -> Vec<u8> {
    let word = |page: usize| {
        // SAFETY: inside the region, and present.
        unsafe { region.base().wrapping_add(page * PAGE_SIZE).read_volatile() }
    };
    (0..pages).map(word).collect()
}

#[test]
fn pages_that_are_there_keep_their_contents_and_count_as_done() {
    for there in [vec![0], vec![1], vec![3], vec![0, 1], vec![1, 3], vec![0, 1, 2, 3]] {
        let Some(region) = region() else { return };
        there.iter().for_each(|&page| bring(&region, page, 7));
        assert_eq!(LINUX.copy(at(&region, 0), 4 * PAGE_SIZE, None), Ok(4 * PAGE_SIZE), "{there:?}");
        let expected: Vec<u8> =
            (0..4).map(|page| if there.contains(&page) { 7 } else { 0 }).collect();
        assert_eq!(bytes(&region, 4), expected);
    }
}

#[test]
fn a_touch_beside_pages_that_are_there_keeps_them_and_errno() {
    let output = in_child("a_touch_beside_pages_that_are_there_keeps_them_and_errno", || {
        let Some(region) = region() else { return };
        crate::prepare_thread().unwrap();
        let pages = GRANULE_SIZE / PAGE_SIZE;
        (0..pages).filter(|page| page % 5 != 3).for_each(|page| bring(&region, page, 7));
        // SAFETY: the location is this thread's.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: as above.
        unsafe { *errno = 77 };
        // SAFETY: inside the region.
        let value = unsafe { region.base().wrapping_add(3 * PAGE_SIZE).read_volatile() };
        // SAFETY: as above.
        let after = unsafe { *errno };
        assert_eq!((value, after), (0, 77));
        assert_eq!(region.resident(), GRANULE_SIZE);
        let expected: Vec<u8> = (0..pages).map(|page| if page % 5 == 3 { 0 } else { 7 }).collect();
        assert_eq!(bytes(&region, pages), expected);
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_copy_that_is_to_come_again_does_until_it_is_enough() {
    let Some(region) = region() else { return };
    inject::answer(libc::EAGAIN, 100);
    assert_eq!(LINUX.copy(at(&region, 0), PAGE_SIZE, None), Ok(PAGE_SIZE));
    assert!(inject::stop(), "not all were needed");

    let again = SysError { call: "UFFDIO_COPY", errno: libc::EAGAIN };
    inject::answer(libc::EAGAIN, 100_000);
    assert_eq!(LINUX.copy(at(&region, 1), PAGE_SIZE, None), Err(again));
    inject::stop();
    // Any other answer is final.
    inject::answer(libc::ENOMEM, 1);
    let refused = SysError { call: "UFFDIO_COPY", errno: libc::ENOMEM };
    assert_eq!(LINUX.copy(at(&region, 1), PAGE_SIZE, None), Err(refused));
    inject::stop();
}

#[test]
fn a_first_touch_survives_a_kernel_that_asks_to_come_again() {
    let Some(region) = region() else { return };
    crate::prepare_thread().unwrap();
    inject::answer(libc::EAGAIN, 100);
    region.write(0, &[1]).unwrap();
    assert!(inject::stop());
    assert_eq!(region.counters().pager_refused, 0);
}
